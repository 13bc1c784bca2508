"""The programs of the golden files, as DSPy has them, and what is checked about files that Rust wrote.

    python programs.py FOLDER make       writes FOLDER/dspy/*.json
    python programs.py FOLDER compare    FOLDER/dspy/*.json must be what DSPy writes now
    python programs.py FOLDER load       FOLDER/ours/*.json must be loaded with the instructions and demos of the cases

`FOLDER/cases.json` says which instructions and demos each program has; the Rust test reads the same file. No model is asked and
nothing is fetched.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Literal, Optional

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import dspy


class Stages(dspy.Module):
    """A chain of thought held as a field, then a plain predictor."""

    def __init__(self):
        super().__init__()
        self.plan = dspy.ChainOfThought("question -> query")
        self.solve = dspy.Predict("question, query -> answer: int")


class Inner(dspy.Module):
    """Two predictors, to be held by other modules."""

    def __init__(self):
        super().__init__()
        self.draft = dspy.Predict("text -> better")
        self.check = dspy.ChainOfThought("text -> better")


class Nested(dspy.Module):
    """Modules in modules, lists and dictionaries; a predictor held twice, a frozen module."""

    def __init__(self):
        super().__init__()
        self.first = Inner()
        self.steps = [dspy.Predict("text -> better"), dspy.ChainOfThought("text -> better"), Inner()]
        self.tools = {"find it": dspy.Predict("text -> better")}
        self.again = self.first.draft
        self.frozen = Inner()
        self.frozen._compiled = True


class Typed(dspy.Signature):
    """Fill in the fields."""

    text: str = dspy.InputField()
    limit: int = dspy.InputField(desc="no more than this")
    count: int = dspy.OutputField()
    share: float = dspy.OutputField(desc="between 0 and 1")
    sure: bool = dspy.OutputField()
    kind: Literal["bug report", "praise"] = dspy.OutputField()
    tags: list[str] = dspy.OutputField()
    sizes: list[int] = dspy.OutputField()
    note: Optional[str] = dspy.OutputField()


def settings():
    program = dspy.Predict("country -> capital")
    program.lm = dspy.LM("openai/some-model", temperature=0.25, max_tokens=77, api_key="not-to-be-saved", num_retries=2)
    return program


PROGRAMS = {
    "single": lambda: dspy.Predict("question -> answer: int"),
    "reasoned": lambda: dspy.ChainOfThought("question -> answer"),
    "stages": Stages,
    "nested": Nested,
    "typed": lambda: dspy.Predict(Typed),
    "settings": settings,
}


def predictors(program):
    return dict(program.named_parameters())


def build(case, states):
    """The program of a case with its instructions and demos."""
    program = PROGRAMS[case]()
    parts = predictors(program)
    assert set(parts) == set(states), f"{case}: the program has {sorted(parts)}, the case {sorted(states)}"
    for name, state in states.items():
        parts[name].signature = parts[name].signature.with_instructions(state["instructions"])
        parts[name].demos = [dspy.Example(**demo) for demo in state["demos"]]
    return program


def add_unknown_keys(path):
    """Adds at every level what DSPy does not know, and sees that DSPy still loads the file."""
    state = json.loads(path.read_text(encoding="utf-8"))
    plan = state["plan.predict"]
    plan["traces"] = [{"kept": "as it is"}]
    plan["owner"] = "somebody"
    plan["signature"]["revision"] = 3
    plan["signature"]["fields"][0]["unit"] = "none"
    plan["signature"]["fields"][2]["prefix"] = "Search for:"
    plan["signature"]["fields"][2]["description"] = "at most five words"
    state["index"] = {"k": 3}
    state["comment"] = "top level"
    state["metadata"]["created_by"] = {"tool": "some other tool", "runs": [1, 2]}
    path.write_text(json.dumps(state, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    Stages().load(path)


def make(folder, cases):
    for case, states in cases.items():
        build(case, states).save(folder / f"{case}.json")
    build("stages", cases["stages"]).save(folder / "extras.json")
    add_unknown_keys(folder / "extras.json")


def without_python_version(path):
    state = json.loads(path.read_text(encoding="utf-8"))
    state["metadata"]["dependency_versions"].pop("python")
    return state


def compare(committed, fresh):
    """The names of the files that differ."""
    names = sorted({path.name for folder in (committed, fresh) for path in folder.glob("*.json")})
    both = [name for name in names if (committed / name).is_file() and (fresh / name).is_file()]
    same = [name for name in both if without_python_version(committed / name) == without_python_version(fresh / name)]
    return [name for name in names if name not in same]


def expect(subject, found, wanted):
    if found != wanted:
        sys.exit(f"{subject}: DSPy has\n  {found!r}\nwhere the case has\n  {wanted!r}")


def verify(path, program, states):
    """Loads a file that Rust wrote into a program of DSPy's, and compares what it has then with the case."""
    program.load(path)
    parts = predictors(program)
    for name, state in states.items():
        subject = f"{path.name}, predictor {name}"
        expect(f"{subject}, instructions", parts[name].signature.instructions, state["instructions"])
        expect(f"{subject}, demos", [dict(demo) for demo in parts[name].demos], state["demos"])
        for field, info in parts[name].signature.fields.items():
            extra = info.json_schema_extra
            assert extra["prefix"].endswith(":") and extra["desc"], f"{subject}, field {field}: {extra}"
        inputs = {field: "(a value)" for field in parts[name].signature.input_fields}
        messages = dspy.ChatAdapter().format(parts[name].signature, parts[name].demos, inputs)
        text = "\n".join(str(message["content"]) for message in messages)
        # DSPy indents the lines of the instructions.
        lines = state["instructions"].splitlines()
        assert all(line.strip() in text for line in lines), f"{subject}: the instructions are not in the prompt"


def make_theirs(folder, cases):
    make(folder / "dspy", cases)


def verify_theirs(folder, cases):
    with tempfile.TemporaryDirectory() as fresh:
        make(Path(fresh), cases)
        stale = compare(folder / "dspy", Path(fresh))
    if stale:
        sys.exit(f"DSPy {dspy.__version__} writes other files now: {', '.join(stale)}; run `cargo xtask golden`")


def verify_ours(folder, cases):
    for case, states in cases.items():
        verify(folder / "ours" / f"{case}.json", PROGRAMS[case](), states)
    changed = {name: dict(state) for name, state in cases["stages"].items()}
    changed["plan.predict"].update(instructions="A changed instruction.", demos=[])
    program = Stages()
    verify(folder / "ours" / "changed.json", program, changed)
    fields = [info.json_schema_extra for info in program.plan.predict.signature.fields.values()]
    expect("changed.json, prefix", fields[2]["prefix"], "Search for:")
    expect("changed.json, description", fields[2]["desc"], "at most five words")
    print(f"golden: DSPy {dspy.__version__} loads {len(cases) + 1} files of ours")


TASKS = {"make": make_theirs, "compare": verify_theirs, "load": verify_ours}


def main():
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    for task in sys.argv[2:]:
        TASKS[task](folder, cases)


if __name__ == "__main__":
    main()
