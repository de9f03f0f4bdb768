"""What must not be read by others: passwords and keys, in URLs and wherever a library quotes them.

`redact` is the one function for every text that leaves the process. It reads each URL in it by its parts, and hides
besides what this process knows to be a secret: its settings are told to `remember` as they are read.
"""

import base64
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
PLACEHOLDER = "<password>"
"""Stands in messages that say how a URL is written."""

_NONE = {"", HIDDEN, PLACEHOLDER}
_WORDS = ("pass", "pwd", "psw", "secret", "token", "signature", "비밀번호", "암호", "비번")
_ENDS = ("key", "pas", "pw", "sig", "auth")
_SHORT = "p"  # `?u=…&p=…`, as some cameras have it
_WITHOUT_LOGIN = {"file", "sqlite"}
_CLOSING = re.compile(r"""(["'])[,;:.)\]}]*$""")
_WITH_A_USER_ALONE = {"mysql", "mariadb"}  # elsewhere one text may be a token
_HEAD = re.compile(r"([A-Za-z0-9+.\-]*):/+")
_AUTHORITY = re.compile(r"[^/?#]*")
_KEY = re.compile(r"([^/?&;#,=@:]*)=")
_NEXT_KEY = re.compile(r"&[^&=]*=")
_SHORTEST, _LONG = 4, 8  # a shorter secret is hidden in URLs alone, a long one within words too


def is_secret(key: str) -> bool:
    """Whether a value of this name is one: `password`, `loginpas`, `aws_secret_access_key`, `비밀번호`, …"""
    name = unicodedata.normalize("NFC", unquote(key)).casefold().strip("-_.[]'\"")
    named = name == _SHORT or name.endswith(_ENDS) or any(word in name for word in _WORDS)
    return named and not name.endswith("file")


def redact(text: str) -> str:
    """The text without the secrets of the URLs in it, and without those that were remembered."""
    text = _known.hide(text)
    return re.sub(r"\S+", _redact_word, text) if ":/" in text else text


def redact_address(text: str) -> str:
    """The same of what is meant as one address, however it is written: `user:password@camera` is one too."""
    return _without(_known.hide(text))


def redact_all(value: Any) -> Any:
    """The same of every text in maps and lists."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redact_all(each) for key, each in value.items()}
    return [redact_all(each) for each in value] if isinstance(value, list | tuple) else value


def secrets_of(settings: Any, key: str = "") -> Iterator[str]:
    """The secrets among settings: texts under the name of one, and the parts of URLs that are."""
    if isinstance(settings, Mapping):
        for name, each in settings.items():
            yield from secrets_of(each, str(name))
    elif isinstance(settings, list | tuple):
        for each in settings:
            yield from secrets_of(each, key)
    elif isinstance(settings, str):
        yield from [settings] if is_secret(key) else _secrets_of_address(settings)


def remember(settings: Any) -> None:
    """From now on no text shows the secrets of these settings."""
    _known.add(secrets_of(settings))


class _Known:
    """The secrets of this process. Any thread."""

    def __init__(self) -> None:
        self._forms: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secrets: Iterator[str]) -> None:
        plain = {form for each in secrets for form in (each, unquote(each)) if len(form) >= _SHORTEST}
        forms = self._forms.union(*map(_forms, plain))
        if forms != self._forms:
            self._forms = forms
            self._pattern = re.compile("|".join(map(_as_pattern, sorted(forms, key=len, reverse=True))), re.IGNORECASE)

    def hide(self, text: str) -> str:
        pattern = self._pattern
        return text if pattern is None else pattern.sub(HIDDEN, text)


_known = _Known()


def _forms(secret: str) -> set[str]:
    """As URLs, logs and programs write it."""
    encoded = secret.encode(errors="surrogatepass")
    return {
        secret,
        unicodedata.normalize("NFC", secret),
        unicodedata.normalize("NFD", secret),
        encoded.decode("latin-1"),
        quote(encoded),
        quote(encoded, safe=""),
        quote_plus(encoded),
        repr(secret)[1:-1],
        repr(encoded)[2:-1],
        json.dumps(secret)[1:-1],
    }


def _as_pattern(text: str) -> str:
    pattern = re.escape(text)
    return pattern if len(text) >= _LONG else rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"


def _secrets_of_address(address: str) -> Iterator[str]:
    start, scheme = _start(address)
    for begin, end in _spans(address):
        yield address[begin:end]
    for begin, end in _values(address, start):
        yield re.split("[_&;/?#]", address[begin:end])[0]  # some cameras have more behind a low line
    host = _AUTHORITY.match(address, start)
    for text in {address, address[: host.end() if host else start]}:  # it may be valid as it is, with an @ in its path
        if (login := _login(text, start, scheme)) is not None:
            user, password = unquote(text[start : login[0]]).removesuffix(":"), unquote(text[slice(*login)])
            if password in _NONE:
                continue
            yield password
            yield base64.b64encode(f"{user}:{password}".encode(errors="surrogatepass")).decode()  # as HTTP sends it


def _redact_word(found: re.Match[str]) -> str:
    word = found[0]
    opening, scheme_ends, _ = word.partition(":/")
    if not scheme_ends:
        return word
    closing = _CLOSING.search(word)
    end = closing.start() if closing and closing[1] in opening else len(word)
    return _without(word[:end]) + word[end:]


def _without(address: str) -> str:
    shown, place = [], 0
    for begin, end in _spans(address):
        shown += [address[place:begin], HIDDEN]
        place = end
    return "".join((*shown, address[place:]))


def _spans(address: str) -> list[tuple[int, int]]:
    """Where its secrets stand, in order.

    A password with a slash, an @ or a question mark makes no valid URL, but it is a password all the same: so a login
    ends at the last @, and a value only before the next `&name=`.
    """
    start, scheme = _start(address)
    login = _login(address, start, scheme)
    found = [*_values(address, start), *([login] if login else [])]
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(each for each in found if address[slice(*each)] not in _NONE):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _start(address: str) -> tuple[int, str | None]:
    """Where its host or login begins, and its scheme."""
    head = _HEAD.search(address)
    return (head.end(), head[1].casefold()) if head else (0, None)


def _login(address: str, start: int, scheme: str | None) -> tuple[int, int] | None:
    """Where the password of its login stands; all of the login, if it is one text."""
    if scheme is not None and scheme.split("+")[0] in _WITHOUT_LOGIN:
        return None
    end = address.rfind("@", start)
    if end >= 0:
        colon = address.find(":", start, end)
        if colon >= 0:
            return colon + 1, end
        return None if scheme is None or scheme.split("+")[0] in _WITH_A_USER_ALONE else (start, end)
    # `rtsp://admin:secret`, whose host was forgotten: a port is a number.
    host = _AUTHORITY.match(address, start)
    end = host.end() if host else start
    colon = address.find(":", start, end)
    is_port = colon < 0 or address[start] == "[" or address[colon + 1 : end].isdecimal()
    return None if scheme is None or is_port else (colon + 1, end)


def _values(address: str, start: int) -> Iterator[tuple[int, int]]:
    """Where the values of secret keys stand; some cameras have them in the path."""
    while (key := _KEY.search(address, start)) is not None:
        start = key.end()
        if is_secret(key[1]):
            following = _NEXT_KEY.search(address, start)
            begin, start = start, following.start() if following else len(address)
            yield begin, start
