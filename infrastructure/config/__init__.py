"""Settings: what a person decides, validated once, passed down as frozen values."""
