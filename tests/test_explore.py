"The explorer's table of settings agrees with `Settings` and with the real command."
from typer.main import get_command

from bgblur.cli import app
from bgblur.core.settings import SETTINGS
from bgblur.explore import FIELDS, BlurrerControls, Explorer
from conftest import CLIP


def all_controls():
    controls = BlurrerControls()
    return {'background', *controls.general, *(k for cs in controls.controls.values() for k in cs)}


def test_fields_and_controls_exist():
    assert {*FIELDS.values()} <= {*SETTINGS} and {*FIELDS} <= all_controls() | {'wrap'}


def test_each_control_that_is_a_field_is_listed():
    assert all_controls() & {*SETTINGS} <= {*FIELDS}


def test_command_has_only_existing_options():
    command = Explorer(CLIP).set(background='lens', strength=91, people='main').to_command()
    options = {o for p in get_command(app).commands['video'].params for o in p.opts}
    assert {word for word in command.split() if word.startswith('--')} == {'--background', '--strength', '--people'} <= options
