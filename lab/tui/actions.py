"""Everything a person can do, in one list: bindings, footer, help and palette are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.binding import Binding, BindingType

from lab.tui.action import Action as Action
from lab.tui.action import Situation as Situation
from lab.tui.modes import MODES

FOOTER_KEYS = 7


def _has_run(now: Situation) -> bool:
    return now.status is not None


def _has_runs(now: Situation) -> bool:
    return now.runs > 0


def _has_panes(now: Situation) -> bool:
    return now.runs > 0 or now.mode in ("ladder", "inspect")


def _has_tabs(now: Situation) -> bool:
    return now.runs > 0 and (now.single_pane or now.mode != "sample")


def _on_chart(now: Situation) -> bool:
    return now.runs > 0 and now.pane in ("chart", "loss", "learning rate")


def _can_step(now: Situation) -> bool:
    if now.mode in ("sample", "lr_finder", "compare"):
        return now.status is not None
    if now.mode == "inspect":
        return now.figures > 0 and now.pane in ("page", "beside")
    return now.mode != "runs" or _on_chart(now)


def _in(*statuses: str) -> Callable[[Situation], bool]:
    return lambda now: not now.trash and bool((now.statuses or {now.status}) & set(statuses))


def _among_runs(now: Situation) -> bool:
    return now.status is not None and not now.trash


def _in_trash(now: Situation) -> bool:
    return now.status is not None and now.trash


_RUNS = ("runs",)
_RUNS_AND_LADDER = ("ladder", "runs")
_SAMPLE = ("sample",)
_STEPPING = ("runs", "run_view", "sample", "lr_finder", "compare", "inspect", "race")
_LR_FINDER = ("lr_finder",)
_QUEUEING = ("runs", "run_view", "lr_finder", "race")
_RACE = ("race",)
_BREAKING = ("ladder", "runs", "run_view", "compare")
_RUNS_AND_VIEW = ("runs", "run_view")
_RUNS_AND_COMPARE = ("runs", "compare")
_COMPARE = ("compare",)
_CHARTS = ("runs", "run_view", "compare", "race")
_TABLES = ("ladder", "runs", "compare", "sample", "lr_finder", "inspect")
_RUN_VIEW = ("run_view",)
_TABS = ("runs", "run_view", "sample", "compare")
_WITH_PANES = ("ladder", "runs", "run_view", "sample", "lr_finder", "compare", "inspect")
_EVERYWHERE_TO_MOVE = (*_WITH_PANES, "race")
_MODES = ("ladder", "runs", "compare", "lr_finder", "sample", "inspect")
_INSPECT = ("inspect",)
_EDITING = ("ladder", "runs", "run_view", "lr_finder")
_PANES = (*_EDITING, "compare")

ACTIONS: tuple[Action, ...] = (
    # Modes
    *(Action(mode.action, (mode.key,), mode.label, mode.help, "Modes", synonyms="mode screen") for mode in MODES),
    # Ladder
    Action(
        "open_demo", ("d",), "demo: finished runs",
        "Leave this empty database for a finished ladder that comes with lab.", "Runs", footer=2,
        when=lambda now: now.loaded and now.runs == 0, synonyms="example tutorial finished show", modes=("ladder",),
    ),
    Action(
        "climb", ("enter",), "climb the ladder", "Train what is missing of the ladder, from the foot up.", "Runs",
        when=lambda now: now.missing_rungs > 0 and now.status is None, footer=1,
        synonyms="train all start ladder queue", modes=("ladder",),
    ),
    # Runs
    Action(
        "new_run", ("n",), "new run", "Compose a run and queue it.", "Runs",
        footer=2, modes=_RUNS_AND_LADDER,
        synonyms="queue add train start config dataset context block size sweep grid experiment",
    ),
    Action(
        "open_run", ("enter",), "open", "Open the run: its curves, its samples, its log, step by step.", "Runs",
        when=_has_run, footer=2, synonyms="view details cockpit", modes=("ladder", "runs", "compare"),
    ),
    Action("back", ("escape", "q"), "back", "Go back to where the run was opened from.", "Runs", shown_key="esc q",
           modes=("run_view", "race"), footer=13, synonyms="close leave quit"),
    Action(
        "edit_copy", ("e",), "edit a copy", "Compose a run that starts from this one's config.", "Runs",
        when=_has_run, synonyms="duplicate clone config again", modes=_RUNS,
    ),
    Action(
        "pause_resume", ("p",), "pause/resume", "Pause a waiting or training run at a checkpoint, or let it go on.",
        "Runs", when=_in("queued", "training", "paused"), footer=1, synonyms="hold continue", modes=_QUEUEING,
    ),
    Action(
        "stop", ("K",), "stop", "End a training run where it is and score it there; give up one that waits.",
        "Runs", when=_in("queued", "training", "paused"), footer=3, synonyms="kill cancel abort end",
        modes=_QUEUEING,
    ),
    Action(
        "retry", ("R",), "retry", "Queue again what ended without finishing; it goes on from its last checkpoint.",
        "Runs", when=_in("failed", "stopped", "cancelled", "diverged"), footer=1, synonyms="again rerun",
        modes=_QUEUEING,
    ),
    Action(
        "continue_run", ("c",), "continue", "Go on from one of the run's checkpoints as a new run: more steps, another "
        "lr, other dropout.", "Runs", when=_in("finished", "stopped", "diverged", "failed", "cancelled", "paused"),
        footer=2, synonyms="child resume more steps fine-tune branch", modes=_RUN_VIEW,
    ),
    Action(
        "break_run", ("b",), "break it", "Break one thing in the run, such as its skips or its mask, and race the two "
        "on the same batches.", "Runs", when=_among_runs, footer=8,
        synonyms="ablation remove residual norm mask scale init twin control", modes=_BREAKING,
    ),
    Action("compare_in_full", ("enter",), "compare in full", "Mark the two and go to Compare: what differs, insides, "
           "more seeds.", "Runs", footer=2, when=_has_runs, synonyms="verdict mark", modes=_RACE),
    Action(
        "cancel", ("C",), "cancel", "Give the run up: one that trains ends without being scored.", "Runs",
        when=_in("queued", "training", "paused"), synonyms="abort kill drop", modes=_RUNS_AND_VIEW,
    ),
    Action(
        "again", ("a",), "again", "Queue the run again with other seeds.", "Runs",
        when=_among_runs, footer=9, synonyms="seeds repeat duplicate rerun group", modes=_RUNS,
    ),
    Action(
        "tag", ("t",), "tags", "Tag the run; filter by tag:base, keep out by -tag:base.", "Runs",
        when=_has_run, footer=9, synonyms="label", modes=_RUNS,
    ),
    Action(
        "notes", ("N",), "notes", "Write notes on the run.", "Runs", when=_has_run, synonyms="comment annotate text",
        modes=_RUNS,
    ),
    Action(
        "export", ("E",), "export", "Write the run's metrics, config and results to a CSV or JSON lines file.",
        "Runs", when=_has_run, synonyms="export save csv json jsonl download", modes=_RUNS,
    ),
    Action(
        "trash", ("d",), "trash", "Put the run away; its data stays.", "Runs",
        when=_among_runs, footer=7, synonyms="delete remove", modes=("runs", "lr_finder"),
    ),
    Action(
        "restore", ("r",), "restore", "Take the run out of the trash.", "Runs",
        when=_in_trash, footer=1, synonyms="undelete back", modes=_RUNS,
    ),
    Action(
        "delete_for_good", ("d",), "delete for good", "Delete the run with its files, after a question.", "Runs",
        when=_in_trash, footer=2, synonyms="remove empty trash purge", modes=_RUNS,
    ),
    Action(
        "show_trash", ("D",), "the trash", "Show the trash: restore runs, or delete them for good.", "Runs",
        footer=10, synonyms="deleted bin restore", modes=_RUNS,
    ),
    # Queue
    Action(
        "move_up", ("shift+up", "comma"), "earlier", "Move the waiting run one place ahead in the queue.", "Queue",
        shown_key="shift ↑", when=_in("queued"), footer=3, synonyms="reorder move queue up", modes=_RUNS,
    ),
    Action(
        "move_down", ("shift+down", "full_stop"), "later", "Move the waiting run one place back in the queue.", "Queue",
        shown_key="shift ↓", when=_in("queued"), synonyms="reorder move queue down", modes=_RUNS,
    ),
    Action(
        "move_first", ("shift+home", "T"), "next in turn", "Move the waiting run to the head of the queue.", "Queue",
        shown_key="T", when=_in("queued"), synonyms="reorder move queue top first", modes=_RUNS,
    ),
    Action(
        "pause_queue", ("P",), "pause/resume the queue", "Let nothing that waits start, or let it again; what trains "
        "goes on.", "Queue", when=lambda now: now.queue_paused, footer=1, synonyms="hold stop all waiting",
        modes=_RUNS,
    ),
    Action(
        "undo", ("u",), "undo", "Take back the last change to the runs.", "Runs",
        when=lambda now: bool(now.undo), footer=4, synonyms="restore", modes=_EDITING,
    ),
    # Select
    Action("cursor_down", ("j", "down"), "down", "Move down.", "Select", shown_key="j ↓", modes=_EVERYWHERE_TO_MOVE),
    Action("cursor_up", ("k", "up"), "up", "Move up.", "Select", shown_key="k ↑", modes=_EVERYWHERE_TO_MOVE),
    Action("cursor_first", ("g", "home"), "first", "Move to the first.", "Select", shown_key="g home",
           modes=_TABLES),
    Action("cursor_last", ("G", "end"), "last", "Move to the last.", "Select", shown_key="G end",
           modes=_TABLES),
    Action("text_first", ("g",), "text's top", "Move to the text's beginning.", "Select", modes=_RUN_VIEW),
    Action("text_last", ("G",), "text's end", "Move to the text's end.", "Select", modes=_RUN_VIEW),
    Action(
        "mark", ("space",), "mark", "Mark the run, or take its mark away: marked runs are drawn over each other, and "
        "compared in mode 3.", "Select", when=_has_run, footer=2, synonyms="select overlay compare unmark",
        modes=_RUNS,
    ),
    Action(
        "unmark_all", ("escape",), "clear", "Leave the filter or the zoom, or take away all marks.", "Select",
        shown_key="esc", when=lambda now: bool(now.marks or now.filtered or now.zoomed or now.trash),
        synonyms="marks filter back", modes=("ladder", "runs", "compare"),
    ),
    Action(
        "pin", ("*",), "baseline", "Pin the run as the baseline that val is compared with.", "Select",
        when=_has_run, footer=6, synonyms="reference compare delta dev", modes=_RUNS_AND_COMPARE,
    ),
    Action(
        "filter", ("/",), "filter", "Show only runs that match: words, stage:residual, val<2.1, lr<1e-3, -tag:quick.",
        "Select", when=lambda now: now.runs > 0 or now.filtered, footer=5, synonyms="search find", modes=_RUNS,
    ),
    Action("mark_all", ("A",), "mark all", "Mark every run that is shown, or take those marks away.", "Select",
           when=_has_runs, synonyms="select everything", modes=_RUNS),
    Action("columns", ("c",), "columns", "Choose the columns, their order, and by which to sort.", "Select",
           when=_has_runs, footer=9, synonyms="fields hide show order reorder", modes=_RUNS),
    Action("sort", ("s",), "sort", "Sort by the next column.", "Select", when=_has_runs, footer=8, synonyms="order",
           modes=_RUNS),
    Action("sort_reverse", ("S",), "reverse", "Reverse the order.", "Select", when=_has_runs, synonyms="descending",
           modes=_RUNS),
    # Compare
    Action(
        "choose_runs", ("slash",), "choose runs", "Mark the runs to compare.", "Compare", shown_key="/", footer=1,
        synonyms="mark select filter compare", modes=_COMPARE, when=lambda now: now.loaded,
    ),
    Action("unmark", ("space",), "unmark", "Take the group out of the comparison: its runs are marked no more.",
           "Compare", when=_has_runs, footer=7, synonyms="remove mark", modes=_COMPARE),
    Action("group_seeds", ("v",), "seeds as bands", "Take runs together that are equal but for the seed, or show each "
           "by itself.", "Compare", footer=5, when=_has_runs, synonyms="group mean band aggregate", modes=_COMPARE),
    Action("group_by", ("V",), "group by", "Group the runs by one of their settings.", "Compare", when=_has_runs,
           synonyms="group setting config key", modes=_COMPARE),
    Action("chart_kind", ("c",), "overlay/multiples/bars", "Draw the curves over each other, side by side on one "
           "scale, or the values as bars.", "Compare", footer=3, when=_has_runs,
           synonyms="small multiples facets bars overlay", modes=_COMPARE),
    Action("metric", ("m",), "metric", "Choose the metric that is drawn.", "Compare", footer=4, when=_has_runs,
           synonyms="loss speed gradient y-axis", modes=("compare", "race")),
    Action("band", ("B",), "bands", "Show how seeds scatter as a 95 % interval, from lowest to highest, or as one "
           "standard deviation.", "Compare", when=_has_runs, synonyms="interval sd min max error confidence",
           modes=_COMPARE),
    Action("target", ("T",), "loss to reach", "Choose the loss whose reaching is timed.", "Compare", when=_has_runs,
           synonyms="target time to loss", modes=_COMPARE),
    Action("inside_kind", ("h",), "histograms", "Lay other histograms of the two models over each other: activations, "
           "gradients, weights, updates.", "Compare", footer=4, when=lambda now: now.pane == "inside",
           synonyms="activations gradients weights updates diagnostics", modes=_COMPARE),
    # LR finder
    Action(
        "new_sweep", ("n",), "new sweep", "Compose an LR sweep and queue it.", "LR finder", footer=2,
        synonyms="lr find learning rate start", modes=_LR_FINDER,
    ),
    Action(
        "use_rate", ("enter",), "use this rate", "Compose a run with the learning rate under the cursor: a suggested "
        "one, or any on the curve.", "LR finder", footer=1, synonyms="lr learning rate run", modes=_LR_FINDER,
        when=lambda now: now.rate_chosen,
    ),
    Action("find_lr", (), "find the learning rate", "Go to the LR finder and compose a sweep.", "Runs",
           synonyms="lr find sweep learning rate"),
    # Sample
    Action(
        "write", ("enter",), "write/stop", "Have text written; while it is, stop it. Shows the rest of a text stepped "
        "through.", "Sample", footer=1, synonyms="sample generate text", modes=_SAMPLE, when=_has_run,
    ),
    Action(
        "write_again", ("r",), "next seed", "Have another text written, by the next seed.", "Sample",
        footer=3, synonyms="reroll again seed", modes=_SAMPLE, when=lambda now: now.written > 0,
    ),
    Action(
        "prompt", ("i",), "prompt", "Go to the prompt: what the text goes on from.", "Sample", footer=4,
        synonyms="input edit text", modes=_SAMPLE,
    ),
    Action(
        "beside", ("space",), "beside", "Have this run and checkpoint write in a second pane too: same prompt, same "
        "seed. Then choose the other.", "Sample", footer=5, synonyms="compare second two", modes=_SAMPLE,
        when=_has_run,
    ),
    Action(
        "leave", ("escape",), "stop", "Stop what is being written; leave the prompt.", "Sample", shown_key="esc",
        footer=2, modes=_SAMPLE, when=lambda now: now.writing, synonyms="cancel back",
    ),
    # Inspect
    Action("inspect_run", ("I",), "inspect", "Look into the run: its data, its parts, what it knows, which pieces it "
           "needs.", "Runs", when=_has_run, synonyms="attention embeddings knock-out look inside explain",
           modes=_RUNS_AND_VIEW),
    Action("look", ("enter",), "to the figures", "Go from a list to the figures; there, give the current one all the "
           "room.", "Inspect", footer=1, when=lambda now: now.pane in ("views", "model") and now.runs > 0,
           synonyms="open page", modes=_INSPECT),
    Action("stop_inspecting", ("escape",), "stop", "Stop what is being computed; else leave the zoom, and the figures "
           "for the list of views.", "Inspect", shown_key="esc", footer=1, when=lambda now: now.writing,
           synonyms="cancel abort back", modes=_INSPECT),
    Action("inspect_again", ("r",), "ask again", "Ask again for a page that failed or was stopped.", "Inspect",
           synonyms="retry repeat", modes=_INSPECT),
    Action("next_figure", ("]",), "next figure", "Go to the page's next figure.", "Inspect", footer=5,
           when=lambda now: now.figures > 1, synonyms="head layer table", modes=_INSPECT),
    Action("previous_figure", ("[",), "previous figure", "Go to the page's figure before.", "Inspect", modes=_INSPECT),
    Action("later_checkpoint", ("full_stop",), "later checkpoint", "Go to the run's next checkpoint: the figures are "
           "seen forming.", "Inspect", shown_key=".", synonyms="step forming film", modes=_INSPECT),
    Action("earlier_checkpoint", ("comma",), "earlier checkpoint", "Go to the run's checkpoint before.", "Inspect",
           shown_key=",", footer=4, when=_has_run, synonyms="step forming", modes=_INSPECT),
    Action("side_by_side", ("space",), "side by side", "Keep this run and checkpoint beside what is chosen next; "
           "on it, take it away.", "Inspect", footer=6, when=_has_run, synonyms="compare second two beside",
           modes=_INSPECT),
    Action("inspect_prompt", ("i",), "prompt", "Type the text that is looked at.", "Inspect", footer=3,
           when=lambda now: "prompt" in now.options, synonyms="text input context", modes=_INSPECT),
    Action("option_more", ("+",), "next setting", "Set what the page can be asked for to its next value: the "
           "head size, the layer, which pieces.", "Inspect", synonyms="head size layer next larger", modes=_INSPECT,
           when=lambda now: bool(now.options - {"prompt", "other", "other_checkpoint"}), footer=3),
    Action("option_less", ("-",), "setting before", "Set it to the value before.", "Inspect",
           synonyms="head size layer smaller", modes=_INSPECT),
    Action("choose_option", ("o",), "options", "List all that can be set on this page.", "Inspect", footer=7,
           when=lambda now: bool(now.options - {"prompt", "other", "other_checkpoint"}),
           synonyms="set layer head pieces replacement", modes=_INSPECT),
    # Step
    Action("step_forward", ("right",), "step", "Move the cursor on: by a character or a cell; on a chart, by a "
           "hundredth.",
           "Step", shown_key="→", modes=_STEPPING, when=_can_step, footer=6, synonyms="next character cursor"),
    Action("step_back", ("left",), "step back", "Move the cursor back: by a character or a cell; on a chart, by a "
           "hundredth.", "Step", shown_key="←", modes=_STEPPING, synonyms="previous character cursor"),
    Action("step_forward_far", ("shift+right",), "ten on", "Move the cursor on by ten.", "Step",
           shown_key="shift →", modes=_STEPPING),
    Action("step_back_far", ("shift+left",), "ten back", "Move the cursor back by ten.", "Step",
           shown_key="shift ←", modes=_STEPPING),
    Action("step_first", ("home",), "first step", "Go to the run's first step.", "Step", modes=_RUN_VIEW,
           synonyms="beginning start"),
    Action("step_last", ("end",), "last step", "Go to the newest step, and along with the run from there.", "Step",
           modes=_RUN_VIEW, synonyms="live follow newest"),
    Action("play", ("space",), "play", "Play through the run's steps, or stop.", "Step", modes=_RUN_VIEW,
           when=_has_run, footer=5, synonyms="replay animate film stop"),
    # Panes
    Action("next_pane", ("tab",), "next pane", "Go to the next pane.", "Panes", when=_has_panes, footer=9,
           modes=_WITH_PANES),
    Action("previous_pane", ("shift+tab",), "previous pane", "Go to the pane before.", "Panes", when=_has_panes,
           modes=_WITH_PANES),
    Action("previous_tab", ("[",), "previous tab", "Put the page before into the pane: sample, config, log, …",
           "Panes", when=_has_tabs, modes=_TABS),
    Action("next_tab", ("]",), "next tab", "Put the next page into the pane: sample, config, log, …",
           "Panes", when=_has_tabs, footer=10, synonyms="sample config log", modes=_TABS),
    Action(
        "zoom", ("z",), "zoom", "Give the pane the whole screen, or give it back.", "Panes",
        when=lambda now: now.figures > 0 or (now.runs > 0 and not now.single_pane), footer=11,
        synonyms="maximize full screen", modes=(*_PANES, "inspect"),
    ),
    # Chart
    Action("x_axis", ("x",), "x-axis", "Draw over steps, characters, seconds or FLOPs.", "Chart",
           synonyms="step chars tokens flops time", modes=_RUNS_AND_COMPARE),
    Action("log_y", ("l",), "log y", "Draw the loss on a logarithmic scale.", "Chart", synonyms="logarithmic",
           modes=_CHARTS),
    Action("log_x", ("L",), "log x", "Draw the x-axis on a logarithmic scale.", "Chart", synonyms="logarithmic",
           modes=_CHARTS),
    Action("smooth_less", ("<",), "smooth less", "Smooth the curves less.", "Chart", synonyms="ema",
           modes=_CHARTS),
    Action("smooth_more", (">",), "smooth more", "Smooth the curves more; the raw ones stay dimmed behind.", "Chart",
           synonyms="ema average", modes=_CHARTS),
    Action("chart_closer", ("+",), "zoom in", "Show half as much of the x-axis, about the cursor or the middle; the "
           "mouse wheel does it about the pointer.", "Chart",
           when=_on_chart, footer=5, synonyms="zoom closer magnify", modes=_CHARTS),
    Action("chart_farther", ("-",), "zoom out", "Show twice as much of the x-axis.", "Chart",
           synonyms="zoom farther", modes=_CHARTS),
    Action("chart_reset", ("=",), "whole x-axis", "Show all of the x-axis again.", "Chart",
           synonyms="zoom reset", modes=_CHARTS),
    Action("chart_left", ("(",), "earlier", "Move what is zoomed to towards the first steps.", "Chart",
           synonyms="pan scroll left", modes=_CHARTS),
    Action("chart_right", (")",), "later", "Move what is zoomed to towards the last steps.", "Chart",
           synonyms="pan scroll right", modes=_CHARTS),
    Action("whole_range", ("o",), "outliers", "Make room for the first steps and for outliers too, or leave them out "
           "of the range.", "Chart", synonyms="whole range spikes", modes=_CHARTS),
    # Take along
    Action("copy", ("y",), "copy", "Copy what is shown: row, table, curves, sample, config, the command to repeat it.",
           "Take along", synonyms="yank clipboard osc52", when=_has_runs),
    Action("write_file", ("w",), "write to a file", "Write what is shown beside the database: text, CSV, or a picture.",
           "Take along", synonyms="save export csv svg screenshot",
           modes=("ladder", "run_view", "sample", "compare", "inspect")),
    Action("picture", (), "picture", "Write a picture of the screen (SVG) beside the database.", "Take along",
           synonyms="save export svg screenshot image"),
    # lab
    Action("help", ("?",), "keys", "Show what the keys do.", "lab", footer=12, synonyms="help shortcuts"),
    Action("command_palette", ("ctrl+p",), "palette", "Find an action by its name.", "lab", synonyms="commands"),
    Action("change_theme", (), "theme", "Choose the colours.", "lab", synonyms="dark light colours themes"),
    Action("quit", ("q",), "quit", "Leave lab; what trains and waits goes on in the background.", "lab", footer=13,
           modes=_MODES,
           synonyms="exit close"),
    Action("stop_worker", (), "stop the worker",
           "End the background worker: its runs keep a checkpoint and wait.", "lab", synonyms="kill background"),
)  # fmt: skip

ACTIONS_BY_ID = {action.id: action for action in ACTIONS}
GROUPS = tuple(dict.fromkeys(action.group for action in ACTIONS))

WINDOW_KEYS = (
    ("enter", "Composer, experiment, LR sweep, continue: queue what is listed."),
    ("esc", "Any window: leave it."),
    ("tab ↓", "Any window: the next field; shift+tab and ↑ the one before."),
    ("ctrl+s", "Composer: save the runs as an experiment. Notes: keep them."),
    ("ctrl+r", "Composer, experiment: train again what is trained already, too."),
    ("pgdn pgup", "Composer: scroll the list of runs."),
    ("ctrl+a", "Choosing runs to compare: mark all that are shown; tab marks one."),
    ("space s S r", "Columns: show or hide, sort, reverse, as at first; shift ↑ shift ↓ reorder."),
)
"""What the keys do in the windows that open over a screen; each window says its own at its lower edge."""


def bindings(mode: str, *, priority: Iterable[str] = ()) -> list[BindingType]:
    """The key bindings of a screen's actions; those named come before whatever the focused widget would do."""
    first = set(priority)
    return [
        Binding(key, action.id, action.label, show=False, priority=action.id in first, id=f"{action.id}.{key}")
        for action in ACTIONS
        if action.is_for(mode)
        for key in action.keys
    ]


def footer_actions(now: Situation) -> list[Action]:
    """What the footer shows, by rank, at most seven."""
    offered = [action for action in ACTIONS if action.footer and action.is_for(now.mode) and action.when(now)]
    return sorted(offered, key=lambda action: action.footer)[:FOOTER_KEYS]
