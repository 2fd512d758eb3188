"""SML as XML: nothing is lost, and wrong or hostile texts are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.errors import EncodeError, SourceError
from messwerk.sml.xml import from_xml, to_xml
from oracle.strategies import messages

CLOSE = sml.Message(transaction_id=b"\x00\x03", body=sml.PublicCloseResponse())
BODY = "<messageBody><SML_PublicClose.Res/></messageBody>"


def document(inside: str, attributes: str = "") -> str:
    return (
        f'<SML xmlns="urn:messwerk:sml:1"><file><message {attributes}>'
        f"<transactionId>0003</transactionId>{inside}</message></file></SML>"
    )


def entry_with(inside: str) -> str:
    return document(
        "<messageBody><SML_GetList.Res><serverId>01</serverId><valList><entry><objName>0100010800ff</objName>"
        f"{inside}</entry></valList></SML_GetList.Res></messageBody>"
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(messages, max_size=2).map(tuple), max_size=2))
def test_any_message_survives_xml(files: list[tuple[sml.Message, ...]]) -> None:
    """Every body, alternative, width and wire form comes back equal, so its bytes come back too."""
    assert from_xml(to_xml(files)) == files


def test_real_telegrams_come_back_byte_exact(shared: Path) -> None:
    """Each captured telegram goes to XML and back to the very bytes the meter sent."""
    for path in sorted((shared / "captures").glob("*.bin")):
        decoder = sml.FrameDecoder()
        for event in decoder.receive(path.read_bytes()):
            if isinstance(event, sml.Frame):
                (messages,) = from_xml(to_xml([sml.decode(event.payload).messages]))
                assert sml.frame(sml.encode(messages)) == event.raw, path.name


def test_what_it_looks_like() -> None:
    """The documented shape: specification names, hex octets with their text, widths where they matter."""
    entry = sml.ListEntry(obj_name=bytes.fromhex("010060320101"), val_time=sml.BareSecIndex(5), unit=0, value=b'L&"G')
    message = sml.Message(
        transaction_id=b"\x01",
        body=sml.GetListResponse(server_id=b"\x0a", val_list=(entry,)),
        form=sml.MessageForm(tag_width=4),
    )
    assert to_xml([[message]]) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<SML xmlns="urn:messwerk:sml:1">\n <file>\n  <message tagWidth="4">\n'
        "   <transactionId>01</transactionId>\n   <groupNo>0</groupNo>\n   <abortOnError>0</abortOnError>\n"
        "   <messageBody>\n    <SML_GetList.Res>\n     <serverId>0a</serverId>\n     <valList>\n      <entry>\n"
        "       <objName>010060320101</objName>\n"
        "       <valTime>\n        <bareSecIndex>5</bareSecIndex>\n       </valTime>\n"
        "       <unit>0</unit>\n"
        '       <value t="octets" ascii="L&amp;&quot;G">4c262247</value>\n'
        "      </entry>\n     </valList>\n    </SML_GetList.Res>\n   </messageBody>\n"
        "  </message>\n </file>\n</SML>\n"
    )


def test_layout_and_defaults_do_not_matter() -> None:
    """White space, comments, an XML declaration and left-out defaults change nothing."""
    text = document(f"<!-- a comment -->\n {BODY}").replace("0003", "\n  00 03\n ")
    assert from_xml(f'<?xml version="1.0" encoding="ISO-8859-1"?>\n{text}') == [(CLOSE,)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not XML"),
        ("<SML>", "not XML"),
        ("<html/>", "not SML in XML"),
        ('<SML xmlns="urn:other"/>', "not SML in XML"),
        ('<!DOCTYPE SML [<!ENTITY a "aaaa">]><SML xmlns="urn:messwerk:sml:1">&a;</SML>', "document type"),
    ],
)
def test_a_text_that_is_no_sml(text: str, complaint: str) -> None:
    """Broken, foreign and hostile texts are refused as a source."""
    with pytest.raises(SourceError, match=complaint):
        from_xml(text)


def test_deep_nesting_is_refused() -> None:
    """Trees nested without end are an error, not a crash."""
    tree = "<child_List><entry><parameterName>01</parameterName>" * 3000 + "</entry></child_List>" * 3000
    body = (
        "<SML_GetProcParameter.Res><serverId>01</serverId><parameterTreePath/><parameterTree>"
        f"<parameterName>01</parameterName>{tree}</parameterTree></SML_GetProcParameter.Res>"
    )
    with pytest.raises(SourceError, match="nested more deeply"):
        from_xml(document(f"<messageBody>{body}</messageBody>"))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (document("<messageBody/>"), "messageBody: expected one element inside"),
        (document("<messageBody><SML_Nothing.Res/></messageBody>"), "SML_Nothing.Res"),
        (document(f"<groupNo>256</groupNo>{BODY}"), "groupNo"),
        (document(f"<groupNo>many</groupNo>{BODY}"), "groupNo"),
        (document(f"<surprise/>{BODY}"), "surprise"),
        (document(BODY, 'tagWidth="wide"'), "form.tagWidth"),
        (document(BODY, 'colour="red"'), "colour"),
        (document('<messageBody><opaque tag="x">70</opaque></messageBody>'), "messageBody"),
        (entry_with("<value>5</value>"), "value"),
        (entry_with('<value t="u8">256</value>'), "fits u8"),
        (entry_with('<value t="u8">1</value><value t="u8">1</value>'), "another"),
        (entry_with('<value t="bool">maybe</value>'), "bool"),
        (entry_with('<unit t="u16">1</unit><value t="u8">1</value>'), "unit"),
        (entry_with('<status>1</status><value t="u8">1</value>'), "status"),
        (entry_with('<valTime><noon>1</noon></valTime><value t="u8">1</value>'), "noon"),
        ('<SML xmlns="urn:messwerk:sml:1"><fill/></SML>', "<file>"),
    ],
)
def test_a_wrong_element_is_named(text: str, path: str) -> None:
    """Each mistake in a text names the element it stands in, and is no crash."""
    with pytest.raises(EncodeError, match=path):
        from_xml(text)
