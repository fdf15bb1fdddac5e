"""Files of torch.export, brought down to data before torch may read them.

PyTorch's own reader trusts a file: it unpickles, evaluates sizes as Python expressions
and calls whatever function of torch the graph names. Here an archive is copied in
memory, and the copy has only what a network needs: tensors as plain bytes, and a graph
of arithmetic operators whose names and sizes cannot be anything but names and sizes.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from imprint_bench.errors import DataError

MODEL = "models/model.json"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
SAMPLES = "data/sample_inputs/model.pt"
PLAIN = re.compile(
    r"archive_format|archive_version|byteorder|\.data/version"
    r"|data/weights/weight_\d+|data/constants/tensor_\d+"
)
# Operators on tensors and on sizes. Others of torch, such as torch.hub.load, act on the machine.
OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed)\.\w+\.\w+"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\.sym_\w+|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge)"
    r"|math\.\w+"
)
FORBIDDEN_OPERATOR = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")
# A name, a number, JSON of these; without parentheses, quotes and line breaks nothing is called.
STRING = re.compile(r'[\w .,:\[\]{}"\\/+*<>=!-]*')
# A size as torch writes it: Add(Integer(1), Mul(Integer(2), Symbol('s31', integer=True)))
SIZE = re.compile(
    r"(?:'[suz]+\d+'|\b(?:[suz]+\d+|True|False|Symbol|Integer|Rational|Add|Mul|Pow|Mod|Max|Min|Abs"
    r"|FloorDiv|CleanDiv|CeilDiv|PythonMod|IntTrueDiv|PowByNatural|ModularIndexing|TruncToInt"
    r"|floor|ceiling|positive|nonnegative|negative|integer|real|nonzero|zero)\b|\d+|[-+*/(),= ])*"
)
FORBIDDEN_KEYS = ("as_operator", "as_custom_obj")  # arguments that are functions or objects
LONGEST_SIZE = 1000  # signs of an expression


def clean_archive(path: Path) -> io.BytesIO:
    """Return a copy of the exported program in `path` that is data only.

    Raises
    ------
    DataError
        If the file is no exported program, is damaged, or holds anything but tensors
        and arithmetic.

    References
    ----------
    torch/_export/serde/schema.yaml of PyTorch 2.9 and later (the format, "PT2 archive").
    """
    copy = io.BytesIO()
    try:
        with (
            zipfile.ZipFile(path) as archive,
            zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as clean,
        ):
            members = {m.filename.partition("/")[2]: m for m in archive.infolist()}
            if MODEL not in members:
                raise DataError(_refused(path, f"no {MODEL} in it"))
            for name, member in members.items():
                if member.compress_type != zipfile.ZIP_STORED:
                    raise DataError(_refused(path, "its members are compressed"))
                if name in (MODEL, *CONFIGS):
                    content = _checked(json.loads(archive.read(member)), name, path)
                    clean.writestr(f"network/{name}", json.dumps(content))
                elif PLAIN.fullmatch(name):
                    clean.writestr(f"network/{name}", archive.read(member))
                elif name.startswith(("data/aotinductor/", "data/constants/", "data/weights/")):
                    raise DataError(_unsafe(path, f"member {name}"))
            clean.writestr(f"network/{SAMPLES}", b"")
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, RecursionError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise DataError(_refused(path, reason[:160])) from error
    copy.seek(0)
    return copy


def _checked(content: Any, name: str, path: Path) -> Any:
    """Return the JSON value without what describes its origin, or refuse it."""
    if name == MODEL:
        if not isinstance(content, dict):
            raise ValueError(f"{MODEL} is no mapping")
        content = content | {"guards_code": []}
    return _walked(content, "", path)


def _walked(value: Any, key: str, path: Path) -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_string(name, "name", path)
            if name in FORBIDDEN_KEYS or (name == "use_pickle" and inner):
                raise DataError(_unsafe(path, name))
        return {k: {} if k == "metadata" else _walked(v, k, path) for k, v in value.items()}
    if isinstance(value, list):
        return [_walked(v, key, path) for v in value]
    if isinstance(value, str):
        _check_string(value, key, path)
    return value


def _check_string(text: str, key: str, path: Path) -> None:
    form = {"target": OPERATOR, "expr_str": SIZE}.get(key, STRING)
    too_long = key == "expr_str" and len(text) > LONGEST_SIZE
    if too_long or not form.fullmatch(text) or FORBIDDEN_OPERATOR.match(text):
        raise DataError(_unsafe(path, f"{key} {text[:60]!r}"))


def _refused(path: Path, reason: str) -> str:
    return (
        f"{path.absolute()}: not an exported program ({reason}); expected a whole .pt2 file that "
        "torch.export.save has written."
    )


def _unsafe(path: Path, what: str) -> str:
    return (
        f"{path.absolute()}: holds more than tensors and arithmetic ({what}), which is never "
        "loaded; export the network without it."
    )
