"""JSON files that annotation tools and editors wrote."""

from __future__ import annotations

import json
from pathlib import Path

from albu_gan.data.errors import DataError, text_error


def read_json(path: Path) -> object:
    """Read a JSON file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: if it is not, naming the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as err:
        raise DataError(f"{path}:{err.lineno}: not JSON ({err.msg}); export it again") from err
    except RecursionError as err:
        raise DataError(f"{path}: nested too deep to be read; export it again") from err
    except (OSError, UnicodeDecodeError) as err:
        raise text_error(path, err) from err
