"""JSON files that annotation tools and editors wrote."""

from __future__ import annotations

import json
from pathlib import Path

from albu_gan.data.errors import DataError


def read_json(path: Path) -> object:
    """Read a JSON file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: if it is not, naming the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as err:
        raise DataError(f"{path}:{err.lineno}: not JSON ({err.msg}); export it again") from err
    except UnicodeDecodeError as err:
        raise DataError(f"{path}: not text in UTF-8 ({err.reason}); export it again, or save it as UTF-8") from err
    except RecursionError as err:
        raise DataError(f"{path}: nested too deep to be read; export it again") from err
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror})") from err
