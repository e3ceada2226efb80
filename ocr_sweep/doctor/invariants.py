"""What must hold of a project, in one table: what is looked at, and what does not apply here and why.

The numbers are those of the catalogue of faults that the program is built against. It was written for several writers
with leases; here one supervisor writes each study, under a lock that ends with it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Invariant:
    """One thing that must hold."""

    holds: str
    mends: str = ""  # what `--repair` can do about it; empty: it names the way out
    elsewhere: str = ""  # where it is proven when not by doctor, or why it does not apply


INVARIANTS = {
    "I1": Invariant(
        "every trial that was told has one current run, every run a trial; a run whose training was begun anew is set aside",
    ),
    "I2": Invariant(
        "COMPLETE is FINISHED and complete, PRUNED is FINISHED and pruned, FAIL is FAILED; RUNNING has no run that has ended",
        mends="tells Optuna how a trial ended; ends a run as its files, its tag and Optuna say",
    ),
    "I3": Invariant(
        "what says RUNNING has a living supervisor, which holds the study's lock (in place of a lease), and so has every process",
        mends="ends the run truthfully",
    ),
    "I4": Invariant("trial numbers are 0 to n-1 (attempts are not numbered: a trial has one folder and goes on in it)"),
    "I5": Invariant(
        "a complete run has its sealed files, each with the sha256 of the manifest, and the tags name the same",
        mends="missing tags, from the manifest, once the file has the hash",
    ),
    "I6": Invariant("Optuna's value, MLflow's metric, the manifest's number and that of the stored predictions are one"),
    "I7": Invariant("the direction is the study's, values are finite, the verdict names a complete run of its trial"),
    "I8": Invariant("curves have one point an epoch from 1 on, and those of a trial in progress are what it wrote down"),
    "I9": Invariant("what the pruner saw is what the curve says"),
    "I10": Invariant("Optuna's, MLflow's and the sealed configuration's parameters agree and lie inside the declared space"),
    "I11": Invariant(
        "all runs of a study learnt from one corpus (its base, space and metric cannot change, Optuna keeps them once; the code "
        "may change between sessions and stands in every run's provenance.json)"
    ),
    "I12": Invariant(
        "nothing half-written stays for an hour, no run's files are without a run (foreign files in a run are its owner's)",
        mends="removes what never got its name",
    ),
    "I13": Invariant(
        "checkpoints of trials in progress are whole, ended trials keep none (their epoch is not compared with the curve's: a "
        "checkpoint is written before its event, so it is ahead by one at most, which the kill tests prove)"
    ),
    "I14": Invariant(
        "an alias leads to a complete run with the recorded file, whose bytes I5 compares; the gate's record is there, about "
        "that file, and says yes or was overruled; the stage follows the alias",
        mends="moves the stage",
    ),
    "I15": Invariant(
        "a model's history is an unbroken, signed chain that ends as the registry says, and pointers stand where it says"
    ),
    "I16": Invariant(
        "the ONNX is valid, holds its weights, uses ONNX's own operators, carries the charset; its certificate of parity holds "
        "(the probe images are computed again at every promotion)"
    ),
    "I17": Invariant("no group or image is in two splits, every class is taught, labels lie in the charset"),
    "I18": Invariant(
        "a corpus names each font with one sha256 (glyphs are checked when they are drawn, and a corpus holds pixels: a font "
        "that changed since concerns a reproduction alone, which says so)"
    ),
    "I19": Invariant("SQLite finds both databases whole, every row refers to one that is there, the libraries know their form"),
    "I20": Invariant(
        "what was acknowledged is there", elsewhere="proven by benchmarks/faults.py and the kill tests, which keep a log"
    ),
    "I21": Invariant("no more trials ended than the study's file allows; one trained in several goes counts once"),
    "I22": Invariant("no two trials tried one point, where the space has real numbers"),
    "I23": Invariant("what ended, ended after it began (there are no beats to compare)"),
    "I24": Invariant(
        "a failure gives its reason by a word of a closed list, and a bug its traceback (other failures say all in their reason)",
        mends="writes `other:` before a reason that has none",
    ),
    "I25": Invariant(
        "nothing is writable by everybody, no record holds a password of the settings", mends="takes the right away"
    ),
    "I26": Invariant("doctor twice says the same, and repairs twice once", elsewhere="proven by its tests"),
    "I27": Invariant("a reproduction of any complete run finds its corpus, its configuration (I5) and its first weights"),
}
