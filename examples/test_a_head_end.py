"""Testing a program that reads SyM² systems, with the rack that comes with Messwerk.

    pip install messwerk pytest
    pytest examples/test_a_head_end.py

`load_profile` stands for your own head-end.
"""

from messwerk import sml
from messwerk.sml.session import SmlClient
from messwerk.tuples import SignedTuple

LOAD_PROFILE = bytes.fromhex("0100630100ff")


def load_profile(exchange, server_id):
    """The program under test: asks for a load profile, returns (seconds index, +A in Wh) of each row."""
    client = SmlClient(b"head-end")
    request = sml.GetProfilePackRequest(parameter_tree_path=(LOAD_PROFILE,))
    wire = client.request(server_id, [request], username="operator", password=b"operator")
    (answer,) = client.receive(exchange(wire))
    (pack,) = answer.answer()
    return [(row.val_time.value, row.value_list[0].value / 10) for row in pack.period_list]


def test_a_row_each_quarter_hour(e750, e750_pull):
    e750.advance(3600)
    rows = load_profile(e750_pull.exchange, e750.slots[0].module.server_id)
    assert rows == [(900, 750.0), (1800, 1500.0), (2700, 2250.0), (3600, 3000.0)]


def test_the_index_goes_on_while_the_power_is_away(e750, e750_pull):
    e750.cut(0)
    e750.restore(0, outage_s=1000)
    e750.tick()
    assert e750.slots[0].module.seconds_index == 1002


def test_every_tuple_proves_itself(e750, e750_pull):
    module = e750.slots[1].module
    path = bytes.fromhex("8181c78401ff"), bytes.fromhex("8181c78404ff")
    (response,) = e750_pull.ask(module.server_id, sml.GetProcParameterRequest(parameter_tree_path=path)).answer()
    SignedTuple.from_entry(response.parameter_tree.parameter_value.value).verify(module.key.public)


def test_a_push_waits_until_it_is_acknowledged(e750):
    module = e750.communication_module
    assert module.push_file(e750.utc) is not None
    assert module.push_received(b"") is False
