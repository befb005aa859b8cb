"""The media type of a file, by the end of its name: a table of ours, so that it is the same on every machine."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "application/octet-stream"
_TYPES: Final = {
    "text/plain; charset=utf-8": "txt log ini cfg conf toml lock sh py pyi rs go c h cpp hpp java rb pl lua sql r",
    "text/html; charset=utf-8": "html htm",
    "text/css; charset=utf-8": "css",
    "text/csv; charset=utf-8": "csv",
    "text/tab-separated-values; charset=utf-8": "tsv tab",
    "text/markdown; charset=utf-8": "md markdown",
    "text/javascript; charset=utf-8": "js mjs",
    "application/json": "json ipynb",
    "application/geo+json": "geojson",
    "application/x-ndjson": "jsonl ndjson",
    "application/xml": "xml xsd xsl",
    "application/yaml": "yaml yml",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apache.arrow.file": "arrow feather",
    "application/vnd.sqlite3": "sqlite sqlite3",
    "application/x-hdf5": "h5 hdf5",
    "application/x-netcdf": "nc",
    "application/pdf": "pdf",
    "application/wasm": "wasm",
    "application/zip": "zip whl npz",
    "application/gzip": "gz tgz",
    "application/zstd": "zst",
    "application/x-bzip2": "bz2",
    "application/x-xz": "xz",
    "application/x-7z-compressed": "7z",
    "application/x-tar": "tar",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "image/png": "png",
    "image/jpeg": "jpg jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/svg+xml": "svg",
    "image/tiff": "tif tiff",
    "image/x-icon": "ico",
    "image/bmp": "bmp",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg oga opus",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "video/mp4": "mp4 m4v",
    "video/webm": "webm",
    "video/quicktime": "mov",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/ttf": "ttf",
    "font/otf": "otf",
}
_BY_END: Final = {end: media_type for media_type, ends in _TYPES.items() for end in ends.split()}
_PLAIN_NAMES: Final = frozenset({"readme", "license", "licence", "copying", "changelog", "makefile", "dockerfile"})


def media_type_of(path: str) -> str:
    """The type of a file with this path."""
    name = path.rpartition("/")[2].lower()
    _, dot, end = name.rpartition(".")
    if not dot and name in _PLAIN_NAMES:
        return "text/plain; charset=utf-8"
    return _BY_END.get(end, UNKNOWN) if dot else UNKNOWN
