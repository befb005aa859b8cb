"""What a version costs those who follow its dataset, and what would make it cost less: before it is published, too.

Cores that compare manifests (``fetch``, ``changes``, ``facts``) and draw (``page``), pure; and shells that measure:
they cut, hash and encode by the code that publishing and pulling use, so what is predicted is what then moves.
"""
