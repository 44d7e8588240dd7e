"""Owns what differs between the two servers that are imitated.

All of it was recorded or measured: see tests/wire.
"""

from dataclasses import dataclass

_ROUNDING = 256


@dataclass(frozen=True, slots=True)
class Version:
    """What one version of the server does differently."""

    number: str
    child_server: bool
    """Runs each model in a llama-server child (from 0.30): native chat templates, other error texts."""
    shift_reloads: bool
    mmap_reloads: bool
    details_in_tags: bool
    """`/api/tags` carries capabilities, context and embedding lengths."""
    text_models_embed: bool
    window_grace: int
    """Tokens that fit beyond `num_ctx - prompt` when the window does not shift."""
    one_token_has_duration: bool
    """Whether `eval_duration` is there for an answer of one token."""
    decode_slowdown: float
    """Extra time per token for each further busy slot."""
    kept_prompts: int
    """Prompts that can be restored from memory after they were pushed out of their slot."""
    restore_speedup: float
    """How much faster a token is restored than evaluated (measured: 5,619 tokens in 0.2-0.4 s, not 18.1)."""

    def truncated(self, num_ctx: int, num_keep: int) -> int:
        """Tokens that remain of a prompt too long for its window."""
        return num_keep + -(-(num_ctx - num_keep) // 2) if self.child_server else num_ctx

    def window(self, num_ctx: int) -> int:
        """Tokens that really fit: the child rounds the window up."""
        return -(-num_ctx // _ROUNDING) * _ROUNDING if self.child_server else num_ctx


VERSIONS = {
    "0.32.15": Version(
        number="0.32.15",
        child_server=True,
        shift_reloads=True,
        mmap_reloads=False,
        details_in_tags=True,
        text_models_embed=False,
        window_grace=0,
        one_token_has_duration=True,
        decode_slowdown=0.1,
        kept_prompts=16,
        restore_speedup=60.0,
    ),
    "0.24.0": Version(
        number="0.24.0",
        child_server=False,
        shift_reloads=False,
        mmap_reloads=True,
        details_in_tags=False,
        text_models_embed=True,
        window_grace=1,
        one_token_has_duration=False,
        decode_slowdown=3.0,
        kept_prompts=0,
        restore_speedup=60.0,
    ),
}
