import json

import pytest

from fixtures_publish import HERE_REF, Wanted, candidate_of
from undersky.errors import ConfigError, ServiceError
from undersky.flow.catalog import indexed_item
from undersky.flow.published import item_key
from undersky.services.geoparquet import read_items, write_items


def an_item(number=0, **properties):
    made, item = candidate_of(HERE_REF.model_copy(update={"scene": f"{Wanted().scene}_{number}"}))
    item["properties"] |= properties
    return indexed_item(item, item_key(made), base="https://data.example.org/b")


def test_items_come_back_in_their_order_and_as_they_were(tmp_path):
    items = [an_item(number) for number in range(5)]
    write_items(items, tmp_path / "items.parquet")
    found = read_items(tmp_path / "items.parquet")
    assert [item["id"] for item in found] == [item["id"] for item in items]
    assert found[0]["properties"]["undersky:model"] == items[0]["properties"]["undersky:model"]
    assert {name: asset["href"] for name, asset in found[0]["assets"].items()} == {
        name: asset["href"] for name, asset in items[0]["assets"].items()
    }


def test_a_field_that_some_lack_is_null_there(tmp_path):
    import pyarrow.parquet

    items = [an_item(0), an_item(1, **{"view:azimuth": 12.5}), an_item(2)]
    write_items(items, tmp_path / "items.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "items.parquet")
    assert sorted(map(str, table.column("view:azimuth").to_pylist())) == ["12.5", "None", "None"]


def test_a_field_that_only_a_late_item_has_is_kept_whatever_the_number(tmp_path, monkeypatch):
    import pyarrow.parquet

    from undersky.services import geoparquet

    monkeypatch.setattr(geoparquet, "CHUNK", 3)
    items = [an_item(number) for number in range(10)]
    items += [an_item(10, late="yes"), an_item(11, late="no", **{"undersky:extra": {"a": 1}})]
    write_items(items, tmp_path / "items.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "items.parquet").to_pylist()
    assert sorted(row["id"] for row in table) == sorted(item["id"] for item in items)
    found = {row["id"]: (row["late"], row["undersky:extra"]) for row in table}
    assert found[items[10]["id"]] == ("yes", None)
    assert found[items[11]["id"]] == ("no", {"a": 1})
    assert found[items[0]["id"]] == (None, None)


def test_lists_that_are_empty_in_some_items_are_one_column(tmp_path):
    import pyarrow.parquet

    write_items(
        [an_item(0, some=[]), an_item(1, some=["a"]), an_item(2, some=[])], tmp_path / "items.parquet"
    )
    table = pyarrow.parquet.read_table(tmp_path / "items.parquet").to_pylist()
    assert sorted(row["some"] or [] for row in table) == [[], [], ["a"]]


def test_whole_and_broken_numbers_are_one_column(tmp_path):
    import pyarrow.parquet

    items = [an_item(0, gsd=10), an_item(1, gsd=10), an_item(2, gsd=7.5)]
    write_items(items, tmp_path / "items.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "items.parquet").column("gsd").to_pylist()
    assert sorted(found) == [7.5, 10.0, 10.0]


def test_an_index_row_carries_only_what_a_table_can_hold():
    found = an_item()
    assert not {"undersky:source_sha256", "undersky:notes", "undersky:parameters"} & set(found["properties"])
    assert json.dumps(found["links"]).count("https://data.example.org/b/stac/") == 2


def test_no_item_is_no_table(tmp_path):
    with pytest.raises(ConfigError, match="would hold no Item"):
        write_items([], tmp_path / "items.parquet")


def test_one_field_of_two_kinds_is_refused_with_the_cure(tmp_path):
    with pytest.raises(ConfigError, match="one kind of value"):
        write_items([an_item(0, odd={"a": 1}), an_item(1, odd="text")], tmp_path / "items.parquet")


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "items.parquet").write_bytes(b"no")
    with pytest.raises(ConfigError, match="no stac-geoparquet"):
        read_items(tmp_path / "items.parquet")
    with pytest.raises(ConfigError, match="no stac-geoparquet"):
        read_items(tmp_path / "absent.parquet")


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be written"):
        write_items([an_item()], tmp_path / "file" / "items.parquet")
