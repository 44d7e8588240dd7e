"""Who may enter the HTTP door: token, one-time codes, cookie, password, Host, Origin, size."""
