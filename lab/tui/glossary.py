"""What the numbers and labels on the screen mean, in two sentences each, with the lecture that explains them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

BIGRAMS = "makemore 1: bigrams"
MLP = "makemore 2: MLP"
ACTIVATIONS = "makemore 3: activations and gradients"
GPT = "Let's build GPT"
GPT2 = "Let's reproduce GPT-2"

_LECTURES_OF_STAGES = {"bigram": BIGRAMS, "mlp": MLP, "modern": GPT2}


@dataclass(frozen=True)
class Meaning:
    """A term as it stands on the screen, what it means, and the lecture by Andrej Karpathy where it comes up."""

    term: str
    said: str
    lecture: str = ""

    def matches(self, search: str) -> bool:
        """Whether all these words stand in it."""
        said = f"{self.term} {self.said} {self.lecture}".casefold()
        return all(word in said for word in search.casefold().split())


_MEANINGS = (
    # Losses
    Meaning("val", "The loss on text that was held back from training: nats a character, less is better. Once a run "
            "has ended it is over the whole val split, before that over an even part of it.", MLP),
    Meaning("train", "The loss on the text that is trained on. Where it goes on falling and val does not, the model "
            "learns by heart.", MLP),
    Meaning("best", "The lowest val that the run came to on the way. Its weights are kept as the checkpoint best.",
            MLP),
    Meaning("choices", "e^val: the model is as unsure as if it chose evenly among so many characters. Guessing evenly "
            "chooses among the whole vocabulary.", BIGRAMS),
    Meaning("guessing evenly", "The loss of a model that knows nothing: ln V, where V is the number of characters. "
            "Whoever starts above it starts confidently wrong.", ACTIVATIONS),
    Meaning("bigram by counting", "The loss of a table of how often each character follows each, counted, not trained. "
            "A trained bigram comes down to it; context is worth what lies below it.", BIGRAMS),
    Meaning("published", "What the lectures came to, on other copies of the texts and from sampled batches. It is "
            "beside yours to compare by eye, not to be met to the digit.", GPT),
    Meaning("Δ", "The difference in val: against the baseline, or against the rung that this one stands on. Less than "
            "about 0.02 may be the seed and not the change.", GPT),
    Meaning("baseline", "The run that val is compared with, pinned with *. Runs on other data are not compared with "
            "it.", ""),
    # Comparing
    Meaning("group", "Runs whose configs are equal but for the seed, taken together; or runs with one setting in "
            "common. A single run is one throw of the dice.", ""),
    Meaning("interval", "± after a mean: where the true mean lies in 95 of 100 such experiments. With two or three "
            "seeds it is wide; the band on a chart is the same over the steps.", ""),
    Meaning("verdict", "Better or worse by so much, where the seeds rule chance out; else how small a difference they "
            "could have shown. The more groups are compared, the more it takes.", ""),
    Meaning("not fair", "What else differs than what is compared: budget, size, text, seeds, device. The sign stands "
            "beside the number it touches; the verdict page says what would make it fair.", ""),
    Meaning("band", "How the runs of a group scatter around their mean: a 95 % interval, from the lowest to the "
            "highest, or one standard deviation. B switches.", ""),
    # Runs
    Meaning("status", "Whether the run waits, trains, or how it ended. A sign goes with each word, so that colour is "
            "never needed to tell.", ""),
    Meaning("name", "What the run is called: its stage and a number, unless you named it. Commands take it wherever "
            "they take a run.", ""),
    Meaning("stage", "The rung of the ladder that the run's config starts from. What it sets otherwise stands under "
            "changed.", GPT),
    Meaning("dataset", "The text that is learned and how it is cut: one stream, or a word a line. Losses on different "
            "datasets can't be compared.", BIGRAMS),
    Meaning("changed", "What the config sets otherwise than its stage does. Everything else is as the stage has it.",
            ""),
    Meaning("progress", "Steps done of the steps to do; a run that has ended says how many it took. A step is one "
            "batch: forward, backward, update.", MLP),
    Meaning("params", "Numbers in the model that training sets. Published counts are for 65 characters; with another "
            "vocabulary they differ a little.", MLP),
    Meaning("chars/s", "Characters that training goes through in a second, without evaluations and checkpoints. It "
            "says what a config costs on this machine.", GPT2),
    Meaning("time", "How long the run trained, or is expected to train. Evaluations and checkpoints are counted in.",
            ""),
    Meaning("age", "How long ago the run ended, or was queued where it has not. The newest stand first unless you "
            "sort.", ""),
    Meaning("step", "One update of the weights from one batch. Curves are drawn over steps unless x chooses "
            "characters, seconds or FLOPs.", MLP),
    Meaning("tags", "Words of your own on a run. Filter by tag:base, keep out by -tag:base.", ""),
    Meaning("notes", "What you wrote about the run. It stays with it and goes out with exports.", ""),
    Meaning("id", "What tells the run from all others, for good. Commands take any beginning of it that is unique.",
            ""),
    Meaning("kind", "Whether the run trains a model or looks for a learning rate (an LR sweep). Only models are "
            "compared.", ""),
    Meaning("experiment", "The question that the run was queued for. Its grid of configs is a TOML file.", ""),
    Meaning("device", "What the run was trained on. It is settled at its first start and kept, so that it goes on "
            "there bit for bit.", GPT2),
    Meaning("rung", "A stage's place on the ladder. Each stands on one below and adds one thing to it.", GPT),
    Meaning("yours", "What you have of the rung: runs of exactly its config, whatever the seed. Where there are "
            "several, val is their mean.", ""),
    Meaning("a sample", "What the run wrote last, from the same start and the same seed as all the others. From "
            "gibberish towards Shakespeare, rung by rung.", GPT),
    # Statuses
    Meaning("waiting", "The run is in the queue, and starts when it is its turn. Its number is its place.", ""),
    Meaning("training", "The run is being trained in the background. It goes on when lab is left.", ""),
    Meaning("paused", "The run stands still at a checkpoint. p lets it go on as if nothing had been.", ""),
    Meaning("finished", "The run took all its steps and was scored on the whole val split. Nothing changes it any "
            "more.", ""),
    Meaning("stopped", "The run was ended early and scored where it was. R lets it go on to its last step.", ""),
    Meaning("diverged", "The loss became infinite, or far larger than guessing evenly. Most often lr is too high: "
            "break it on purpose once.", ACTIVATIONS),
    Meaning("failed", "The run broke off with an error, which stands in its log. R tries again from the last "
            "checkpoint.", ""),
    Meaning("cancelled", "The run was given up before it was scored. R queues it again.", ""),
    # Training
    Meaning("lr", "The learning rate: how far each step moves the weights. Too high and the loss leaps or diverges; "
            "too low and the steps are wasted.", MLP),
    Meaning("grad_norm", "The length of all gradients taken together. A spike in it comes just before a spike in the "
            "loss.", GPT2),
    Meaning("update:data", "How large a step's change of a weight is beside the weight itself, as a power of ten. "
            "About 10^-3 is healthy; far above it is too fast, far below too slow.", ACTIVATIONS),
    Meaning("saturated", "The share of tanh outputs so near to ±1 that almost no gradient passes. A layer that is "
            "mostly saturated hardly learns.", ACTIVATIONS),
    Meaning("dead", "The share of a ReLU's outputs that are zero for every character of the batch. No gradient passes "
            "there, so that most never come back.", ACTIVATIONS),
    Meaning("smoothed", "A running mean of the curve, by < and >. The raw curve stays dimmed behind it: smoothing "
            "hides spikes and lags.", ACTIVATIONS),
    Meaning("FLOPs", "Arithmetic spent in training, counted as 6 × parameters × characters. By it models of different "
            "size are compared at equal cost.", GPT2),
    # Inspecting
    Meaning("data", "The dataset as the model sees it: characters as ids, and a batch of contexts with what follows "
            "each. A stream of T characters is T questions.", BIGRAMS),
    Meaning("anatomy", "The model as a tree of modules, with the shape of what flows through each on one batch. Beside "
            "it the parameters and FLOPs, and that a one-hot row times a table is that table's row.", GPT),
    Meaning("embeddings", "Where training has put each character: those that can stand in each other's place come to "
            "lie together. More than two dimensions are shown by the two that hold most of their variance.", MLP),
    Meaning("attention", "Whose values each character takes up, by layer and head: a row holds the weights of one "
            "character that asks, and they add up to 1. What comes after it is masked.", GPT),
    Meaning("logit-lens", "What the model would say if the head read the stream after each block already. The depth at "
            "which a column stops changing is where that character was decided.", GPT2),
    Meaning("knock-out", "The val loss with one piece of the trained model taken out, all else as it is. What hardly "
            "changes it was not needed, though the others might have learned to do without it.", ""),
    Meaning("loss-map", "Which characters, words and places the val loss comes from. With a second run beside it, "
            "where one of them is better.", ""),
    Meaning("averaging", "The way from an average over what came before to attention, in four versions with their "
            "times. The first three are the same numbers; the fourth lets the data choose.", GPT),
    Meaning("entropy", "How undecided a head is, in nats: 0 where it looks at one character, ln n where at n alike; "
            "while training as a share of the most, to 1. Low is a head that knows what it looks for.", GPT),
    Meaning("mean distance", "How many characters back a head looks on average. Near 1 it looks at its neighbour.",
            GPT),
    Meaning("explained", "The share of all variance that the shown dimensions hold (PCA). Where it is small, "
            "neighbours in the picture need not be neighbours: the list of the nearest is by all dimensions.", ""),
    Meaning("probability", "What the model gives to a character, from 0 to 1. Minus its logarithm is the surprise.",
            BIGRAMS),
    # Sampling
    Meaning("prompt", "The text that the model goes on from. It may hold only characters of the vocabulary.", BIGRAMS),
    Meaning("temp", "What the logits are divided by before drawing: below 1 safer, above 1 wilder. At 0 the likeliest "
            "character is always taken.", BIGRAMS),
    Meaning("top-k", "Only the k likeliest characters may be drawn. It cuts off the long tail of unlikely ones.",
            GPT2),
    Meaning("top-p", "Only the likeliest characters that together hold the share p may be drawn. Where the model is "
            "sure that is one or two, where it is not it is many.", ""),
    Meaning("length", "How many characters are written at most. A name ends by itself, a stream never does.", BIGRAMS),
    Meaning("count", "How many texts are written, each with the next seed. Of names each is marked new, or in the "
            "training set.", BIGRAMS),
    Meaning("surprise", "-ln of the probability that the model gave to the character. Their mean over a text is its "
            "loss.", BIGRAMS),
    Meaning("best, last", "Checkpoints: the weights at the lowest val, and those at the end. Where the model has begun "
            "to overfit they differ.", MLP),
)  # fmt: skip


@cache
def meanings() -> dict[str, Meaning]:
    """Every meaning by its term: labels, statuses, stages, and the fields of a config."""
    from lab.config.ladder import STAGES
    from lab.config.run_config import RunConfig

    found = {meaning.term: meaning for meaning in _MEANINGS}
    for stage in STAGES:
        lecture = _LECTURES_OF_STAGES.get(stage.name, GPT)
        found[stage.name] = Meaning(stage.name, f"Adds {stage.adds}. {stage.lesson}", lecture)
    for name, field in RunConfig.model_fields.items():
        said = field.description or ""
        found.setdefault(name, Meaning(name, f"{said[:1].upper()}{said[1:]}.", ""))
    return found


def meanings_of(terms: Iterable[str]) -> list[Meaning]:
    """The meanings of these terms, each once; terms without one are left out."""
    known = meanings()
    return [known[term] for term in dict.fromkeys(terms) if term in known]
