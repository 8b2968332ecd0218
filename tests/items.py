#!/usr/bin/python3
"""Print the conformance items and the tests that cover each.

The items are the numbered lines of conformance.md.  A test covers an item
when its name carries the number: test_item_12_..., test_item_18_19_..., in
Python or in C.  Exit status 1 if an item has no test, or a test names an
item that does not exist.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent

ITEM = re.compile(r"^(\d+)\. (.+)$", re.M)
TEST = re.compile(r"^(?:def |static void\s+|void\s+)?(test_\w*item_\d\w*)\s*\(", re.M)


def items():
    return {
        int(n): text for n, text in ITEM.findall((HERE / "conformance.md").read_text())
    }


def numbers(name):
    """The items in a test's name: the run of numbers after each "item_"."""
    found = set()
    for run in re.findall(r"item((?:_\d+)+)(?=_|$)", name):
        found.update(int(n) for n in run.strip("_").split("_"))
    return found


def tests():
    """(file, test name) of every test that names an item."""
    files = sorted(HERE.glob("e2e/test_*.py")) + sorted(HERE.glob("unit/test_*.c"))
    for path in files:
        for name in TEST.findall(path.read_text()):
            yield path.name, name


def main():
    known = items()
    covered = {number: [] for number in known}
    wrong = []
    for file, name in tests():
        for number in numbers(name):
            if number in covered:
                entry = "%s:%s" % (file, name)
                if entry not in covered[number]:
                    covered[number].append(entry)
            else:
                wrong.append("%s: %s names item %d" % (file, name, number))
    for number, text in known.items():
        print("%2d  %s" % (number, text))
        for entry in covered[number] or ["NO TEST"]:
            print("      %s" % entry)
    missing = [n for n in known if not covered[n]]
    print(
        "\n%d items, %d covered" % (len(known), sum(1 for v in covered.values() if v))
    )
    for text in wrong:
        print(text)
    if missing:
        print("without a test: %s" % ", ".join(map(str, missing)))
    return 1 if missing or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
