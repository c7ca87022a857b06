"""Image files in a folder or a zip archive, listed and read in the same way."""

from __future__ import annotations

import os
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, is_zipfile

from dpbench.core.errors import DataError
from dpbench.core.files import digest
from dpbench.core.names import check_name

LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # files of operating systems, ignored like dot files
IMAGE_TYPES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
HASHED_FILES = 20_000
SAMPLED_FILES = 2_000


MOST_BYTES = 256 * 2**20
"""Maximum size of an image file, above that of photographs. The declared size is checked before unpacking."""
BOMB_BYTES, BOMB_RATIO = 16 * 2**20, 200
"""A file in a zip that is larger than this, and unpacks to more than this many times its size, is not an image."""


def _wanted(path: PurePosixPath) -> bool:
    return not any(part in LITTER or part.startswith(".") for part in path.parts)


def is_image(path: str) -> bool:
    """Whether a file is an image, according to its suffix."""
    return path.lower().endswith(IMAGE_TYPES)


class FileSource(ABC):
    """Files by relative path, with "/" between folders on every system.

    Attributes:
        root: the folder or archive.
        sizes: path -> size in bytes of every file, sorted by path.
        folders: paths of all folders, including empty ones.
    """

    root: Path
    sizes: Mapping[str, int]
    folders: frozenset[str]

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The content of one file.

        Raises:
            DataError: the file is missing or damaged; the message names it.
        """

    @abstractmethod
    def checksum(self, path: str) -> int:
        """CRC-32 of one file's content."""

    def fingerprint(self, paths: Sequence[str]) -> str:
        """A hash of the files' relative paths, sizes and contents (CRC-32), in order; times do not matter.

        With more than `HASHED_FILES` files, all paths and sizes are hashed, but only the contents of every k-th file
        (at least `SAMPLED_FILES` contents).
        """
        sizes = [(path, self.sizes[path]) for path in paths]
        return digest([sizes, [self.checksum(path) for path in _hashed(paths)]])

    def content(self, paths: Sequence[str]) -> str:
        """A hash of the files' sizes and contents, whatever their paths and order: a zip equals its folder.

        With more than `HASHED_FILES` files, the contents are sampled as for `fingerprint`.
        """
        sizes, checksums = (self.sizes[path] for path in paths), (self.checksum(path) for path in _hashed(paths))
        return digest([sorted(sizes), sorted(checksums)])

    def describe(self, path: str) -> str:
        """The name of a file in messages."""
        return str(self.root / path)

    def _check(self) -> None:
        """Checks names and sizes before any file is read.

        Raises:
            DataError: a name cannot be printed on one line or is too long, or an image has more than `MOST_BYTES`.
        """
        for name in dict.fromkeys(part for path in (*self.folders, *self.sizes) for part in path.split("/")):
            check_name(name, "file or folder")
        for path, size in self.sizes.items():
            if size > MOST_BYTES and is_image(path):
                most = MOST_BYTES // 2**20
                raise DataError(
                    f"{self.describe(path)} has {size / 2**20:,.0f} MiB, but an image file has at most {most}; "
                    "replace or remove it"
                )


def _hashed(paths: Sequence[str]) -> Sequence[str]:
    return paths if len(paths) <= HASHED_FILES else paths[:: len(paths) // SAMPLED_FILES]


class FolderSource(FileSource):
    """The files below a folder; symbolic links are followed.

    Raises:
        DataError: the folder cannot be read.
    """

    def __init__(self, root: Path):
        self.root = root
        self._checksums: dict[str, int] = {}
        sizes: dict[str, int] = {}
        folders: set[str] = set()
        try:
            for place, below, names in os.walk(root, onerror=_raise, followlinks=True):
                below[:] = [name for name in below if _wanted(PurePosixPath(name))]  # the others are not entered
                folder = PurePosixPath(Path(place).relative_to(root).as_posix())
                folders.add(str(folder))
                wanted = [folder / name for name in names if _wanted(folder / name)]
                sizes |= {str(path): (root / path).stat().st_size for path in wanted}
        except OSError as error:
            raise DataError(f"cannot read {error.filename or root}: {error.strerror}") from error
        self.sizes = dict(sorted(sizes.items()))
        self.folders = frozenset(folders - {"."})
        self._check()

    def read(self, path: str) -> bytes:
        """See `FileSource.read`."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {self.root / path}: {error.strerror}") from error

    def checksum(self, path: str) -> int:
        """See `FileSource.checksum`; reads the file, once."""
        if path not in self._checksums:
            self._checksums[path] = zlib.crc32(self.read(path))
        return self._checksums[path]


def _raise(error: OSError) -> None:
    raise error


class ListedSource(FolderSource):
    """Files below a folder whose paths are known; the folder is not searched for others.

    Args:
        root: the folder.
        paths: the paths of the files, relative to it.
        where: the instruction for putting missing files in place.

    Raises:
        DataError: files are missing; the message names the first of them.
    """

    def __init__(self, root: Path, paths: Sequence[str], where: str):
        self.root = root
        self._checksums = {}
        sizes = {path: _size(root / path) for path in paths}
        if missing := [path for path, size in sizes.items() if size is None]:
            others = f" and {len(missing) - 1:,} others of {len(sizes):,} are" if len(missing) > 1 else " is"
            raise DataError(f"{self.describe(missing[0])}{others} missing: {where}")
        self.sizes = {path: size for path, size in sorted(sizes.items()) if size is not None}
        self.folders = frozenset()
        self._check()


def _size(path: Path) -> int | None:
    """The size of a file in bytes; None if there is no file."""
    return path.stat().st_size if path.is_file() else None


class ZipSource(FileSource):
    """The files in a zip archive, read without unpacking it.

    Raises:
        DataError: the archive is damaged or cannot be read, or it unpacks to far more than images do.
    """

    def __init__(self, root: Path):
        self.root = root
        self._open: dict[int, ZipFile] = {}  # process id -> archive, as processes must not share a file position
        named = [(entry.filename.replace("\\", "/"), entry) for entry in self._archive().infolist()]  # from Windows
        entries = [(PurePosixPath(name), name.endswith("/"), entry) for name, entry in named]
        files = [(str(path), entry) for path, is_folder, entry in entries if _wanted(path) and not is_folder]
        self._entries = dict(sorted(files, key=itemgetter(0)))
        if len(self._entries) < len(files):
            twice, _ = Counter(path for path, _ in files).most_common(1)[0]
            raise DataError(f"{root} has two files called {twice!a}; create it again")
        self.sizes = {path: entry.file_size for path, entry in self._entries.items()}
        listed = {path for path, is_folder, _ in entries if _wanted(path) and is_folder}
        above = {parent for path in (*map(PurePosixPath, self.sizes), *listed) for parent in path.parents}
        self.folders = frozenset(str(folder) for folder in listed | above if folder.parts)
        self._check()
        for path, entry in self._entries.items():
            if entry.file_size > max(BOMB_BYTES, BOMB_RATIO * entry.compress_size) and is_image(path):
                times = entry.file_size // max(1, entry.compress_size)
                raise DataError(
                    f"{self.describe(path)} unpacks to {times:,} times its size, as no image does; remove it"
                )

    def _archive(self) -> ZipFile:
        process = os.getpid()
        if process not in self._open:
            try:
                self._open[process] = ZipFile(self.root)
            except (OSError, BadZipFile, ValueError) as error:
                raise DataError(
                    f"{self.root} is not an intact zip archive ({error}); download or create it again"
                ) from error
        return self._open[process]

    def read(self, path: str) -> bytes:
        """See `FileSource.read`."""
        try:
            return self._archive().read(self._entries[path])
        except (OSError, BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError, ValueError) as error:
            raise DataError(
                f"{self.describe(path)} cannot be unpacked ({error}); download or create the zip again"
            ) from error

    def checksum(self, path: str) -> int:
        """See `FileSource.checksum`; read from the archive's directory."""
        return self._entries[path].CRC


def open_source(path: Path) -> FileSource:
    """The files of a folder or a zip archive.

    Raises:
        DataError: the path does not exist, is neither a folder nor a zip archive, or cannot be read.
    """
    if os.path.isdir(path):  # pathlib raises an error for a path that is too long
        return FolderSource(path)
    if os.path.isfile(path) and (is_zipfile(path) or path.suffix.lower() == ".zip"):
        return ZipSource(path)
    what = "is neither a folder nor a zip archive" if os.path.exists(path) else "does not exist"
    raise DataError(f"{path} {what}; give a folder of images or a zip of one")
