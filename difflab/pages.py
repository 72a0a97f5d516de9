"""What the pages that difflab writes have in common: each is one file, in which nothing from elsewhere may run."""

from __future__ import annotations

import base64
import hashlib


def policy(sheet: str, script: str) -> str:
    """The content-security policy: nothing from anywhere but this style sheet and this script.

    Args:
        sheet: the text between the style tags.
        script: the text between the script tags.

    >>> policy("", "").partition(";")[0]
    "default-src 'none'"
    """
    return (
        f"default-src 'none'; style-src '{_digest(sheet)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def in_script(data: str) -> str:
    """JSON that may stand between script tags: no text in it can end them.

    Args:
        data: the JSON.

    >>> in_script('"</script>"')
    '"\\\\u003c/script>"'
    """
    return data.replace("<", "\\u003c")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
