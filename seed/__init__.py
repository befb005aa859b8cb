"""Seeds: peers whose last tier is the object store. Nothing outside this package knows how blocks lie there."""
