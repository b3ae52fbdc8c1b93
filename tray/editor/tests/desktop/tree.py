"""Prints what a screen reader finds: `role | name | description | states`, a line each."""
import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi

WORDS = {
    Atspi.StateType.FOCUSED: "focused",
    Atspi.StateType.SENSITIVE: "sensitive",
    Atspi.StateType.CHECKED: "checked",
}


def show(thing, depth=0):
    if thing is None or depth > 40:
        return
    try:
        states = thing.get_state_set()
        words = [word for state, word in WORDS.items() if states.contains(state)]
        parts = [thing.get_role_name(), thing.get_name(), thing.get_description(), " ".join(words)]
        print(" | ".join(part or "" for part in parts))
        children = [thing.get_child_at_index(index) for index in range(thing.get_child_count())]
    except gi.repository.GLib.Error:
        return  # it went while we looked
    for child in children:
        show(child, depth + 1)


show(Atspi.get_desktop(0))
