"""Files of foreign formats that ``analyze`` looks into: an older version of them may be anybody's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from swarm.analysis.archives import Times
from swarm.analysis.compressed import Gzip
from swarm.analysis.curing import FOREIGN, Unfit
from swarm.analysis.media import picture_of
from tests.property.decoder import Decoder
from tests.unit.analysis import samples


def _in_a_file(name: str, work: Callable[[Path, Path], object], data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, name), Path(folder, "to", name)
        source.write_bytes(data)
        target.parent.mkdir()
        return work(source, target)


def _retimed(source: Path, target: Path) -> object:
    Times().made({source.name: source}, target.parent, target.parent)
    return Times().cure({source.name: source}, {}, target.parent, target.parent)


def _unpacked(source: Path, target: Path) -> object:
    Gzip().unpack(source, target)
    return Gzip().is_right(source, target)


FILES: Final = {"a": b"content of a\n" * 9, "b/c": b"content of c"}
REFUSALS: Final = (Unfit, OSError, *FOREIGN)
FILE_DECODERS: Final[dict[str, Decoder]] = {
    "a file: tar": Decoder(samples.tar_of(FILES, 1), partial(_in_a_file, "a.tar", _retimed), REFUSALS),
    "a file: zip": Decoder(
        samples.zip_of(FILES, (2025, 1, 1, 1, 1, 2)), partial(_in_a_file, "a.zip", _retimed), REFUSALS
    ),
    "a file: gzip": Decoder(samples.gzipped(FILES["a"], 7), partial(_in_a_file, "a.gz", _unpacked), REFUSALS),
    "a file: png": Decoder(samples.png_of("p", 9, b"note"), picture_of, REFUSALS),
    "a file: jpeg": Decoder(samples.jpeg_of("j", b"note")[:2048], picture_of, REFUSALS),
}
