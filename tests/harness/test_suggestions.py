"""A mistyped command is answered with the one that was meant."""

from click.testing import CliRunner

from harness.cli import main


def test_a_mistyped_command_names_the_nearest():
    result = CliRunner().invoke(main, ["sttus"])
    assert result.exit_code == 2
    assert "No such command 'sttus'. Did you mean 'status'?" in result.output


def test_a_word_that_is_near_none_names_none():
    result = CliRunner().invoke(main, ["quux"])
    assert result.exit_code == 2
    assert "Did you mean" not in result.output
