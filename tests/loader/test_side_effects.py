"""What a model's code does to the process goes with its version."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.loader.conftest import World


class TestSearchPath:
    @pytest.mark.parametrize(
        "line",
        [
            "sys.path.append(os.path.dirname(os.path.abspath(__file__)) + '/lib')",
            "sys.path.insert(0, str(Path(__file__).resolve().parent / 'lib'))",
            "sys.path.extend([str(Path(__file__).parent / 'lib')])",
            "os.chdir(os.path.dirname(__file__)); sys.path.append('lib')",
        ],
    )
    def test_a_folder_of_the_model_is_searched_for_the_model_alone(self, world: World, line: str) -> None:
        """Models that extend `sys.path` do not load; or their files are importable for every other model."""
        files = {
            "etls.py": f"""
                import os, sys
                from pathlib import Path
                {line}
                import inner
                def late():
                    from inner import VALUE
                    return VALUE
                """,
            "lib/inner.py": "VALUE = 'VERSION'",
        }
        before = list(sys.path)
        for version in ("1", "2"):
            text = {name: text.replace("VERSION", version) for name, text in files.items()}
            assert world.load(text, version=version).late() == version
        assert sys.path == before
        with pytest.raises(ModuleNotFoundError):
            world.load({"etls.py": "import inner"}, name="Other")

    def test_a_folder_of_the_shared_code_is_searched_for_its_models(self, world: World) -> None:
        """Shared code that puts its own folder on `sys.path` is importable for every model, in its first version."""
        shared = {
            "common/__init__.py": "import os, sys\nsys.path.append(os.path.dirname(__file__))",
            "common/inner.py": "VALUE = 1",
        }
        code = {"etls.py": "import common\ndef call():\n    import inner\n    return inner.VALUE"}
        first = world.load(code, name="A", shared=shared)
        second = world.load(code, name="B", shared=shared)
        assert (first.call(), second.call(), "inner" in sys.modules) == (1, 1, True)
        assert [entry for entry in sys.path if "common" in entry] == []

    def test_what_was_inserted_first_is_searched_first(self, world: World) -> None:
        """`sys.path.insert(0, "src")` loses to a file of the same name beside etls.py."""
        code = "import sys\nfrom pathlib import Path\nsys.path.{}\nfrom twice import VALUE"
        src = "str(Path(__file__).parent / 'src')"
        for line, expected in ((f"insert(0, {src})", "src"), (f"append({src})", "beside")):
            files = {
                "etls.py": code.format(line),
                "twice.py": "VALUE = 'beside'",
                "src/twice.py": "VALUE = 'src'",
            }
            assert expected == world.load(files, version=expected).VALUE

    def test_a_folder_elsewhere_goes_with_the_last_version(self, world: World, tmp_path: Path) -> None:
        """A folder of the author's machine stays in `sys.path`; or goes while the new version still needs it."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "far_away_x.py").write_text("VALUE = 1")
        line = f"""
            import sys
            if {str(elsewhere)!r} not in sys.path:
                sys.path.append({str(elsewhere)!r})
            import far_away_x
            """
        old, new = (world.open({"etls.py": line}, version=version) for version in "12")
        old.load()
        new.load()
        old.close()
        assert str(elsewhere) in sys.path
        new.close()
        assert str(elsewhere) not in sys.path
        sys.modules.pop("far_away_x")

    def test_a_librarys_own_entry_stays(self, world: World) -> None:
        """A library that a model was the first to import loses the folder where it keeps what it brings along."""
        folder = f"{Path(pytest.__file__).parents[1]}/brought_along_x"
        namespace = world.open({"etls.py": f"import sys\nsys.path.append({folder!r})"})
        namespace.load()
        namespace.close()
        assert sys.path.pop() == folder

    def test_two_instances_of_one_version(self, world: World) -> None:
        """A fresh instance beside a stuck one misses a folder, because the stuck one took it just then."""
        code = """
            import sys
            from pathlib import Path
            sys.path.append(str(Path(__file__).parent / "lib"))
            meanwhile()
            import inner
            def other():
                import later
            """
        files = {"etls.py": code, "lib/inner.py": "VALUE = 1", "later.py": ""}
        stuck, fresh = world.open(files), world.open(files)
        stuck.builtins["meanwhile"] = lambda: None
        fresh.builtins["meanwhile"] = stuck.load().other
        assert fresh.load().inner.VALUE == 1

    def test_added_at_request_time(self, world: World) -> None:
        """A function that extends `sys.path` when it is called leaks an entry a version."""
        files = {
            "etls.py": """
                import sys
                from pathlib import Path
                def call():
                    sys.path.append(str(Path(__file__).parent / "lib"))
                    import inner
                    return inner.VALUE
                """,
            "lib/inner.py": "VALUE = 1",
        }
        namespace = world.open(files)
        assert [namespace.load().call() for _ in range(2)] == [1, 1]
        namespace.close()
        assert [entry for entry in sys.path if entry.startswith(namespace.path)] == []


class TestWorkingDirectory:
    def test_a_model_that_changes_it_finds_its_files_until_it_goes(self, world: World) -> None:
        """`os.chdir(path)` leaves the process in a folder that is deleted with the version."""
        before = Path.cwd()
        code = """
            import os
            from pathlib import Path
            os.chdir(os.path.dirname(__file__))
            text = Path("x").read_text()
            """
        namespace = world.open({"etls.py": code, "x": "1"})
        assert namespace.load().text == "1"
        namespace.close()
        assert Path.cwd() == before

    def test_the_next_versions_directory_stays(self, world: World) -> None:
        """Dropping the old version takes the new one's working directory away."""
        files = {"etls.py": "import os\nos.chdir(os.path.dirname(__file__))"}
        old, new = world.open(files, version="1"), world.open(files, version="2")
        old.load()
        new.load()
        old.close()
        assert f"{Path.cwd()}/" == new.path

    def test_a_directory_that_is_gone(self, world: World, tmp_path: Path) -> None:
        """The process stays in a deleted folder, where every relative path fails."""
        gone = tmp_path / "gone"
        gone.mkdir()
        before = Path.cwd()
        namespace = world.open({"etls.py": f"import os\nos.chdir({str(gone)!r})"})
        namespace.load()
        gone.rmdir()
        namespace.close()
        assert Path.cwd() == before


class TestWarnings:
    @staticmethod
    def is_shown(category: type[Warning]) -> bool:
        """Say whether a warning of *category*, always from this place, is an error, as this test run wants it."""
        try:
            warnings.warn("a test", category, stacklevel=1)
        except category:
            return True
        return False

    def test_a_filter_goes_with_the_last_version_that_added_it(self, world: World) -> None:
        """`simplefilter("ignore")` in one model silences the whole server for ever."""
        quiet = {"etls.py": "import warnings\nwarnings.simplefilter('ignore')\nwarnings.warn('x')"}
        old, new = world.open(quiet, version="1"), world.open(quiet, version="2")
        shown = [self.is_shown(UserWarning)]
        for step in (old.load, new.load, old.close, new.close):
            step()
            shown.append(self.is_shown(UserWarning))
        assert shown == [True, False, False, False, True]

    def test_a_version_that_stopped_silencing_is_heard(self, world: World) -> None:
        """A filter stays although the new version does not set it any more."""
        old = world.open({"etls.py": "import warnings\nwarnings.simplefilter('ignore')"}, version="1")
        new = world.open({"etls.py": ""}, version="2")
        old.load()
        new.load()
        old.close()
        assert self.is_shown(UserWarning) is True

    def test_the_order_of_the_filters_comes_back(self, world: World) -> None:
        """A filter of Python's own that a model moved to the front, or cleared, never returns to its place."""
        before = list(warnings.filters)
        lines = [
            "import warnings",
            "warnings.filters.insert(0, warnings.filters.pop())",
            "warnings.simplefilter('ignore', append=True)",
        ]
        namespace = world.open({"etls.py": "\n".join(lines)})
        namespace.load()
        assert list(warnings.filters) != before
        namespace.close()
        assert list(warnings.filters) == before
        cleared = world.open({"etls.py": "import warnings\nwarnings.resetwarnings()"}, version="2")
        cleared.load()
        cleared.close()
        assert list(warnings.filters) == before

    def test_a_filter_of_a_request_goes_when_a_version_does(self, world: World) -> None:
        """A filter that is added at every call makes the list grow without end."""
        other = world.open(
            {"etls.py": "import warnings\nwarnings.filterwarnings('ignore', message='kept')"}, name="Other"
        )
        other.load()
        before = list(warnings.filters)
        namespace = world.open(
            {
                "etls.py": "import warnings\ndef call(n):\n    warnings.filterwarnings('ignore', message=f'{n}')"
            }
        )
        etls = namespace.load()
        for number in range(3):
            etls.call(number)
        namespace.close()
        assert list(warnings.filters) == before

    def test_a_place_that_warned_once_warns_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Python remembers where it has warned; what a model's `default` filter let through once is never seen again."""
        namespace = world.open({"etls.py": "import warnings\nwarnings.simplefilter('default')"})
        namespace.load()
        monkeypatch.setattr(warnings, "showwarning", lambda *_, **__: None)
        assert self.is_shown(UserWarning) is False
        namespace.close()
        assert self.is_shown(UserWarning) is True

    def test_loads_that_overlap_keep_their_filters(self, world: World) -> None:
        """A version that is dropped while another one loads takes the filters of that load with it."""
        gone = world.open(
            {"etls.py": "import warnings\nwarnings.simplefilter('ignore', ImportWarning)"}, name="Gone"
        )
        gone.load()
        quiet = {"etls.py": "import warnings\nwarnings.simplefilter('ignore', UserWarning)\nclose()"}
        loading = world.open(quiet, name="Loading")
        loading.builtins["close"] = gone.close
        loading.load()
        assert [self.is_shown(UserWarning), self.is_shown(ImportWarning)] == [False, True]
        loading.close()
        assert self.is_shown(UserWarning) is True
