import ast
import inspect
from dataclasses import fields

import pytest

from jetscale.training.spec import RunResult, RunSpec


@pytest.mark.parametrize("kind", [RunSpec, RunResult])
def test_every_field_has_a_description(kind):
    (body,) = ast.parse(inspect.getsource(kind)).body
    described = {
        field.target.id
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
    assert described == {field.name for field in fields(kind)}


def test_losses_are_none_where_nothing_was_scored():
    result = RunResult(
        **{field.name: 0 for field in fields(RunResult)} | {"validation": None, "test": None}
    )
    assert (result.loss, result.validation_loss) == (None, None)
