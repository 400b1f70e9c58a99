"""What bounds a server: sizes, waiting, time, and who may ask."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from wotd.errors import ConfigurationError

_MIB = 1024 * 1024


@dataclass(frozen=True)
class ServerSettings:
    """Limits and permissions of a server; the defaults suit one machine.

    Attributes:
        max_body_bytes: a request with a larger body is answered 413.
        max_pending_bytes: bodies of all requests that are being read or answered; one that would go beyond is
            answered 503.
        max_texts: texts of one request; more are answered 422.
        max_text_characters: the longest text; embedding models read a few thousand characters at most.
        max_waiting_texts: texts that wait for their turn; a request that would go beyond is answered 503.
        max_connections: open connections; further ones are answered 503.
        read_seconds: how long a client may take to send a request.
        answer_seconds: how long a request may wait for its answer; then it is answered 503.
        stop_seconds: how long requests in flight may take after a signal to stop.
        watch_seconds: how often to look whether the artifacts have changed, and if so load them anew; None: never.
        api_key: who asks has to say it; None lets everybody in.
        allow_origins: addresses of other sites whose pages may ask, such as https://example.org; none by default.
        log_requests: a line a request in the log: method, route, status, duration. Never texts, keys or addresses.
    """

    max_body_bytes: int = 16 * _MIB
    max_pending_bytes: int = 128 * _MIB
    max_texts: int = 4096
    max_text_characters: int = 1_000_000
    max_waiting_texts: int = 8192
    max_connections: int = 1024
    read_seconds: float = 30
    answer_seconds: float = 120
    stop_seconds: float = 30
    watch_seconds: float | None = None
    api_key: str | None = field(default=None, repr=False)
    allow_origins: tuple[str, ...] = ()
    log_requests: bool = False

    def __post_init__(self) -> None:
        """Refuse what no server can work with.

        Raises:
            ConfigurationError: naming the setting.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                raise ConfigurationError(f"{each.name} is {value}; expected more than 0.")
        for larger, smaller in (("max_pending_bytes", "max_body_bytes"), ("max_waiting_texts", "max_texts")):
            if getattr(self, larger) < getattr(self, smaller):
                raise ConfigurationError(
                    f"{larger} is {getattr(self, larger)}; expected {smaller} ({getattr(self, smaller)}) or more, "
                    f"else the largest request that is allowed never finds room."
                )
        if self.api_key is not None and (len(self.api_key) < 16 or not self.api_key.isascii()):
            raise ConfigurationError("the API key has to be 16 characters or more, of ASCII.")
        for origin in self.allow_origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
                raise ConfigurationError(f"allow_origins has {origin!r}; expected an address like https://example.org.")
