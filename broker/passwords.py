"""Passwords, and their hashes as Mosquitto 2 reads them."""

import base64
import hashlib
import secrets
import string

ITERATIONS = 101  # Mosquitto's own; a random password needs no slow hash
LENGTH = 32


def new_password() -> str:
    """A random password of letters only (180 bits): safe in YAML, in a shell and in a URL."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(LENGTH))


def password_line(username: str, password: str, salt: bytes | None = None) -> str:
    """One line of Mosquitto's password file: `user:$7$iterations$salt$hash`, PBKDF2 with HMAC-SHA512."""
    salt = secrets.token_bytes(12) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    encoded_salt, encoded_digest = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{username}:$7${ITERATIONS}${encoded_salt}${encoded_digest}"
