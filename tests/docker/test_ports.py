import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from onemachine.folder import Folder, StackError
from onemachine.ports import DEFAULTS, choose_ports, fixed_ports, is_taken, owner_of, read_ports


@contextmanager
def listening(port: int = 0, address: str = "127.0.0.1") -> Iterator[int]:
    with closing(socket.socket()) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen()
        yield server.getsockname()[1]


def test_every_port_is_another_and_free(folder: Folder) -> None:
    ports, _ = choose_ports(folder, fixed={})
    assert set(ports) == set(DEFAULTS)
    assert len(set(ports.values())) == len(ports)
    assert not any(is_taken(port) for port in ports.values())


def test_ports_are_remembered(folder: Folder) -> None:
    with listening() as port:
        free = port + 1 if not is_taken(port + 1) else port + 2
    first, _ = choose_ports(folder, fixed={"airflow": free})
    second, moved = choose_ports(folder, fixed={})
    assert second == first
    assert not moved
    assert read_ports(folder) == first


def test_a_taken_port_moves_and_says_who_has_it(folder: Folder) -> None:
    first, _ = choose_ports(folder, fixed={})
    with listening(first["mlflow"]):
        second, moved = choose_ports(folder, fixed={})
    assert second["mlflow"] != first["mlflow"]
    assert {**second, "mlflow": 0} == {**first, "mlflow": 0}
    assert len(moved) == 1
    assert f"port {first['mlflow']} is taken by process" in moved[0]
    assert f"mlflow moved to {second['mlflow']}" in moved[0]


def test_a_port_that_the_user_fixed_never_moves(folder: Folder) -> None:
    with listening() as port, pytest.raises(StackError) as caught:
        choose_ports(folder, fixed={"s3": port})
    assert f"port {port} for s3 is taken by process" in str(caught.value)
    assert "UNDERSKY_DEMO_PORTS=s3=PORT" in str(caught.value)


def test_a_listener_on_every_address_is_in_the_way_too() -> None:
    with listening(address="0.0.0.0") as port:
        assert is_taken(port)
    assert not is_taken(port)


def test_the_owner_of_a_port_is_named_by_its_command() -> None:
    with listening() as port:
        assert "pytest" in owner_of(port) or "python" in owner_of(port)


def test_a_name_that_is_no_port_of_ours_is_refused(folder: Folder) -> None:
    with pytest.raises(StackError, match="'redis'; it may name airflow"):
        choose_ports(folder, fixed={"redis": 1})


def test_fixed_ports_are_read_as_people_write_them() -> None:
    assert fixed_ports("airflow=8081,s3=9000") == {"airflow": 8081, "s3": 9000}
    assert fixed_ports("airflow=8081 s3=9000") == {"airflow": 8081, "s3": 9000}
    assert fixed_ports(None) == fixed_ports("") == {}


@pytest.mark.parametrize("text", ["8081", "airflow", "airflow=x", "airflow=0", "airflow=70000"])
def test_a_port_that_is_none_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(StackError, match="write name=port"):
        fixed_ports(text)


def test_without_a_stack_there_are_no_ports_and_the_message_says_how_to_start_one(folder: Folder) -> None:
    with pytest.raises(StackError, match=r"stack\.py up"):
        read_ports(folder)
