"""Passwords that are tried first, folded to lower case and at least as long as the shortest that is accepted.

People build them from few words and few endings, so the list is built the same way.
"""

_WORDS = (
    "password", "passw0rd", "p@ssword", "p@ssw0rd", "welcome", "letmein", "iloveyou", "sunshine", "princess",
    "football", "baseball", "monkey", "dragon", "master", "shadow", "superman", "batman", "michael", "jennifer",
    "jordan", "charlie", "freedom", "whatever", "trustno1", "starwars", "computer", "internet", "samsung",
    "google", "facebook", "liverpool", "arsenal", "chelsea", "manchester", "barcelona", "nairobi", "mombasa",
    "kisumu", "kenya", "safaricom", "mpesa", "jambo", "karibu", "hakuna", "matata", "simba", "harambee",
    "blessed", "blessing", "jesus", "godisgood", "mungu", "secret", "changeme", "default", "administrator",
    "admin", "qwerty", "qwertyuiop", "qwerty123", "asdfgh", "asdfghjkl", "zxcvbnm", "zxcvbn", "1q2w3e4r",
    "1q2w3e4r5t", "1qaz2wsx", "qazwsx", "q1w2e3r4", "abc", "abcd", "abcdef", "abcdefgh", "test", "testing",
    "student", "teacher", "writer", "school", "university", "family", "mother", "father", "summer", "winter",
    "spring", "autumn", "monday", "friday", "january", "december", "hello", "soko",
)  # fmt: skip
_ENDINGS = (
    "", "1", "!", "12", "123", "123!", "1234", "12345", "123456", "@123", "#123", "007", "01", "69", "99",
    "2020", "2021", "2022", "2023", "2024", "2025", "2026", "@2024", "@2025", "@2026",
)  # fmt: skip
_NUMBERS = (
    "01234567", "012345678", "0123456789", "12345678", "123456789", "1234567890", "12345678910", "87654321",
    "987654321", "9876543210", "0987654321", "11223344", "112233445566", "12341234", "123123123", "12121212",
    "98769876", "147258369", "159753159", "13579246", "24681012", "01012000", "31121999",
)  # fmt: skip

LENGTH_MIN = 8

COMMON_PASSWORDS: frozenset[str] = frozenset(
    candidate
    for candidate in (
        *(word + ending for word in _WORDS for ending in _ENDINGS),
        *_NUMBERS,
        *(character * length for character in "0123456789abcdefghijklmnopqrstuvwxyz" for length in range(8, 13)),
    )
    if len(candidate) >= LENGTH_MIN
)
