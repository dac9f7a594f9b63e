"""The public names of the contract."""

from __future__ import annotations

import types

import bundle


def test_every_exported_name_resolves() -> None:
    for name in bundle.__all__:
        assert getattr(bundle, name) is not None, name


def test_all_is_what_the_package_exports() -> None:
    """Nothing public is left out; submodules are reached by their own names."""
    public = {
        name
        for name, value in vars(bundle).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(bundle.__all__)


def test_all_is_sorted_and_without_repetition() -> None:
    assert len(set(bundle.__all__)) == len(bundle.__all__)
    constants = [name for name in bundle.__all__ if name.isupper()]
    classes = [name for name in bundle.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in bundle.__all__ if name[0].islower()]
    assert bundle.__all__ == sorted(constants) + sorted(classes) + sorted(functions)


def test_errors_form_the_tree_that_the_docstring_draws() -> None:
    for error in (bundle.ManifestError, bundle.IntegrityError, bundle.GoldenError, bundle.VersionExistsError):
        assert issubclass(error, bundle.BundleError)
    assert issubclass(bundle.BundleError, bundle.EncoderyError)
    assert issubclass(bundle.InputError, bundle.EncoderyError)
    assert not issubclass(bundle.InputError, bundle.BundleError)
