"""Files of torch.save and safetensors that cannot be read: the reason in words of the user."""

import zipfile
from pathlib import Path

OLD_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # of torch.save before torch 1.6
PICKLE_START = b"\x80"
ZIP_START = b"PK\x03\x04"
MOST = 1 << 26  # bytes of the pickle in an archive that is looked at
# What torch says of a pickle that holds more than tensors.
REFUSED = (
    *("Unsupported global", "unsupported GLOBAL", "Unsupported class"),
    *("Can only create new object", "Can only build Tensor"),
)
STRANGE = ("Unsupported oper", "Detected pickle")  # of another pickle, but also of any text
OTHERS = {
    b"<": "it is a web page or another text in angle brackets",
    b"version https://git-lfs": "it is a pointer of Git LFS, which stands for the file",
    b"\x1f\x8b": "it is compressed with gzip",
}
OBJECTS = "it holds Python objects, which are never loaded"
NEITHER = "it is not a file of torch.save or safetensors"


def why_unreadable(path: Path, error: Exception) -> str:
    """Return why a file that should hold tensors cannot be read, as a short clause.

    Parameters
    ----------
    path : Path
        Its first bytes tell what it is, for readers meet damage in the oddest places.
    error : Exception
        What ``torch.load`` or safetensors raised.

    References
    ----------
    PyTorch, "Serialization semantics": a zip file of stored members, or before torch 1.6 a
    row of pickles that begins with a magic number. Hugging Face, "Safetensors", format: the
    length of a JSON header as 8 bytes (little-endian), the header, the tensors.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as failure:
        return f"it cannot be opened: {failure.strerror or failure}"
    if not start:
        return "it is empty"
    for sign, reason in OTHERS.items():
        if start.lstrip().startswith(sign):
            return reason
    if start[8:9] == b"{":
        return _of_safetensors(path, start)
    if start.startswith(ZIP_START) and (reason := _damage_of_archive(path)):
        return reason
    signs = (*REFUSED, *STRANGE) if start.startswith((PICKLE_START, ZIP_START)) else REFUSED
    if any(sign in str(error) for sign in signs):
        return OBJECTS
    if start.startswith(ZIP_START):
        return "it is damaged"
    if start.startswith(OLD_START):
        return "it is cut off or damaged"
    if start.startswith(PICKLE_START):
        return "it is a pickle that is cut off, or not one of torch.save"
    return NEITHER


def _damage_of_archive(path: Path) -> str:
    """Return why the zip file is not what torch.save wrote, or nothing."""
    if not zipfile.is_zipfile(path):
        return "it is cut off"
    with zipfile.ZipFile(path) as archive:
        pickles = [m for m in archive.infolist() if m.filename.endswith("/data.pkl")]
        if not pickles:
            return "it is a zip archive that torch.save did not write"
        if path.suffix == ".safetensors":
            return "it is a file of torch.save; let its name end in .pth"
        if pickles[0].compress_type != zipfile.ZIP_STORED or pickles[0].file_size > MOST:
            return ""
        try:
            archive.read(pickles[0])  # compares its checksum
        except (zipfile.BadZipFile, EOFError, OSError):
            return "it is damaged"
    return ""


def _of_safetensors(path: Path, start: bytes) -> str:
    if path.suffix != ".safetensors":
        return "it is a file of safetensors; let its name end in .safetensors"
    header = int.from_bytes(start[:8], "little")
    if header + 8 > path.stat().st_size:
        return "it is cut off within its header"
    return "it is cut off or damaged"
