from __future__ import annotations

import gzip

import pytest

from uniperceiver.data.doctor import Kind


@pytest.fixture
def samples(jpeg):
    def make(*numbers: int) -> dict[str, bytes]:
        return {
            f"{number:03}.{kind}": content
            for number in numbers
            for kind, content in (("jpg", jpeg(number)), ("cls", b"0" if number % 2 else b"1"))
        }

    return make


def test_clean_shards_give_nothing(kinds, shard, samples, write, root) -> None:
    write("classes.txt", "cat\ndog\n")
    shard("train-00000.tar", samples(1, 2))
    path = shard("train-00001.tar", samples(3, 4))
    assert kinds() == set()
    write("train-00001.tar.gz", gzip.compress(path.read_bytes()))
    path.unlink()
    assert kinds() == set()


@pytest.mark.parametrize("cut", [512 * 3 + 100, 512 * 4])
def test_a_shard_cut_off(kinds, shard, samples, cut: int) -> None:
    path = shard("a.tar", samples(1))
    path.write_bytes(path.read_bytes()[:cut])
    assert Kind.BROKEN_SHARD in kinds()


def test_samples_without_label_or_picture(kinds, shard, samples, jpeg) -> None:
    shard("a.tar", samples(1) | {"9.jpg": jpeg(9)})
    assert kinds() == {Kind.INCOMPLETE_SAMPLE}
    shard("a.tar", samples(1) | {"9.cls": b"1"})
    assert kinds() == {Kind.INCOMPLETE_SAMPLE}


def test_a_key_in_two_shards_of_a_split(kinds, shard, samples, jpeg) -> None:
    shard("a.tar", samples(1))
    shard("b.tar", {"001.jpg": jpeg(77), "001.cls": b"1"})
    assert kinds() == {Kind.REPEATED_KEY}


def test_a_number_left_out(kinds, shard, samples) -> None:
    shard("train-0.tar", samples(1))
    shard("train-2.tar", samples(2))
    assert kinds() == {Kind.MISSING_SHARD}


def test_pictures_classes_and_captions_inside(kinds, shard, samples, write, jpeg) -> None:
    write("classes.txt", "cat\ndog\n")
    good = samples(1, 2)
    shard("a.tar", good | {"3.jpg": b"no picture", "3.cls": b"1"})
    assert kinds() == {Kind.UNREADABLE_IMAGE}
    shard("a.tar", good | {"3.jpg": jpeg(3), "3.cls": b"7"})
    assert kinds() == {Kind.CLASS_BEYOND_NAMES}
    shard("a.tar", good | {"3.jpg": jpeg(3), "3.cls": b"cat"})
    assert kinds() == {Kind.BAD_ENTRY}
    shard("a.tar", good | {"3.jpg": jpeg(3), "3.txt": b"caf\xe9"})
    assert kinds() == {Kind.NOT_UTF8}
    shard("a.tar", good | {"3.jpg": jpeg(1), "3.txt": b"a cat"})
    assert kinds() == {Kind.DUPLICATE_IMAGE}
