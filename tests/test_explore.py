"Test that the explorer's table of command-line options agrees with the command."
from typer.main import get_command

from bgblur.cli import app
from bgblur.explore import BlurrerControls, Explorer, OPTIONS
from conftest import CLIP


def video_options(): return {o for p in get_command(app).commands['video'].params for o in p.opts}


def all_settings():
    controls = BlurrerControls()
    return {'background', *controls.general, *(k for cs in controls.controls.values() for k in cs)}


def test_each_option_exists():
    assert set(OPTIONS.values()) <= video_options()


def test_each_setting_that_is_an_option_is_listed():
    assert {f'--{k.replace("_", "-")}' for k in all_settings()} & video_options() <= set(OPTIONS.values())


def test_command_has_only_existing_options():
    command = Explorer(CLIP).set(background='lens', strength=91, people='main').to_command()
    assert {word for word in command.split() if word.startswith('--')} == {'--background', '--strength', '--people'}
