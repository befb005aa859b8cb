"""What a PROPFIND asks for, whatever a stranger writes into it; and answers that are XML whatever a name holds."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import UsageError
from swarm.http import dav

PROP = ("DAV:", "displayname")


def body_of(inside: str) -> bytes:
    return f'<propfind xmlns="DAV:" xmlns:o="urn:other">{inside}</propfind>'.encode()


def test_what_is_asked_for() -> None:
    assert dav.parse_propfind(b"") == dav.Asked()
    assert dav.parse_propfind(body_of("<allprop/><include><o:x/></include>")) == dav.Asked()
    assert dav.parse_propfind(body_of("<propname/>")) == dav.Asked(is_names_only=True)
    # Names without a namespace and unknown elements are no fault (RFC 4918, 17).
    asked = dav.parse_propfind(body_of('<o:new><prop/></o:new><prop><getetag/><o:x><y/></o:x><z xmlns=""/></prop>'))
    assert asked.names == (("DAV:", "getetag"), ("urn:other", "x"), ("", "z"))


@pytest.mark.parametrize(
    "body",
    [
        b"<propfind",
        b"<propfind xmlns='DAV:'><prop><bar:foo xmlns:bar=''/></prop></propfind>",
        b"<!DOCTYPE a [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><propfind xmlns='DAV:'><prop>&b;</prop></propfind>",
        b"<!DOCTYPE propfind SYSTEM 'file:///etc/passwd'><propfind xmlns='DAV:'><allprop/></propfind>",
        b"<?xml version='1.0' encoding='no-such'?><propfind xmlns='DAV:'><allprop/></propfind>",
        b"<other xmlns='DAV:'><allprop/></other>",
        body_of(""),
        body_of("<allprop/><propname/>"),
        body_of("<a>" * 20 + "</a>" * 20),
        body_of("<prop>" + "<a/>" * 2000 + "</prop>"),
        b" " * (dav.BODY_MAX_BYTES + 1),
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError):
        dav.parse_propfind(body)


@given(st.binary(max_size=200))
def test_any_garbage_is_refused_and_nothing_else_is_raised(garbage: bytes) -> None:
    for body in (garbage, body_of("<prop>") + garbage, b"<?xml version='1.0' encoding='" + garbage + b"'?><a/>"):
        try:
            dav.parse_propfind(body)
        except UsageError:
            continue


@given(st.text(), st.text(st.characters(exclude_categories=["Cs"])))
def test_every_name_is_told_in_xml_that_anybody_can_read(name: str, other: str) -> None:
    asked = dav.Asked((PROP, ("urn:" + "".join(filter(str.isalnum, other)), "x")))
    answer = dav.HEAD + dav.response("/a%20b", {PROP: dav.text(name)}, asked) + dav.TAIL
    there, lacking = ET.fromstring(answer).iter("{DAV:}propstat")
    said = "".join(char for char in name if dav.text(char)).replace("\r\n", "\n").replace("\r", "\n")
    assert there.findtext("{DAV:}prop/{DAV:}displayname") == said
    assert lacking.findtext("{DAV:}status") == "HTTP/1.1 404 Not Found"
