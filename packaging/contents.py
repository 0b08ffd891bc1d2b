"""Lists packages: checksum and name of each, and the files in it with their sizes."""

import hashlib
import io
import pathlib
import sys
import tarfile
import zipfile


def files(path):
    """Pairs of a file's name in the package and its size in bytes."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as package:
            return [(entry.filename, entry.file_size) for entry in package.infolist()]
    with tarfile.open(path) as package:
        found = []
        for entry in package:
            if path.suffix == ".gem" and entry.name == "data.tar.gz":
                with tarfile.open(fileobj=io.BytesIO(package.extractfile(entry).read())) as data:
                    found += [(inner.name, inner.size) for inner in data if inner.isfile()]
            elif entry.issym():
                found.append((f"{entry.name} -> {entry.linkname}", 0))
            elif entry.isfile() and path.suffix != ".gem":
                found.append((entry.name, entry.size))
        return found


def main(folder):
    for path in sorted(pathlib.Path(folder).iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
        for name, size in sorted(files(path)):
            print(f"  {size:>10}  {name}")


main(sys.argv[1])
