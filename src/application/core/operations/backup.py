"""What is said when a backup cannot be made or brought back."""


class BackupRefused(Exception):
    """A backup cannot be made, read or brought back; the message says why and what to do."""
