"""Unpredictable digits and letters."""

import secrets


class SystemRandomness:
    """Draws from the operating system's generator."""

    def digits(self, count: int) -> str:
        return self.letters(count, "0123456789")

    def letters(self, count: int, alphabet: str) -> str:
        return "".join(secrets.choice(alphabet) for _ in range(count))
