"""Bad study files, made by hand: what can be wrong in keys and tables; ``CATALOGUE`` has them all."""

from __future__ import annotations

from bad_study_texts import CHAIN, GOOD, ONCE, PROBLEM_TABLE, STEPS, SYNTAX, Bad, but, values

TOP = {
    "empty": Bad(
        "‸‸‸‸",
        ("backend: there must be at least one [[backend]]", "problem: there", "question: is missing", "title: is"),
    ),
    "comments only": Bad(
        "‸‸‸‸# [limits]\n# seconds = -1\n", ("backend: there must", "problem: there", "question: is", "title: is")
    ),
    "no title": Bad("‸" + GOOD.replace('title = "T"\n', ""), (":1:1: title: is missing",)),
    "no question": Bad("‸" + GOOD.replace('question = "Q?"\n', ""), (":1:1: question: is missing",)),
    "no problem": Bad(
        "‸" + GOOD.replace("[[problem]]", "[[‸problems]]").replace("[[‸", "‸[["),
        (
            ":1:1: problem: there must be at least one [[problem]]",
            "problems: unknown key 'problems' (did you mean 'problem'?)",
        ),
    ),
    "no backend": Bad(
        "‸" + GOOD.split("[[backend]]")[0].replace('baseline = "reverse"\n', ""), (":1:1: backend: there must",)
    ),
    "misspelt key": Bad(
        "‸" + GOOD.replace('title = "', 'titel = "‸'),
        ("title: is missing", "titel: unknown key 'titel' (did you mean 'title'?); allowed are title,"),
    ),
    "two unknown keys": but(
        'look_for = "L"', 'zzz = ‸1\n"q q" = ‸2', "zzz: unknown key 'zzz'; allowed are", "'q q': unknown key 'q q'"
    ),
    "key with a line break": but('look_for = "L"', '"a\\nb" = ‸1', "'a\\nb': unknown key 'a\\nb'; allowed"),
    "key of nothing": but('look_for = "L"', '"" = ‸1', ": '': unknown key ''; allowed are"),
    "key that turns the line": but(
        'look_for = "L"', '"\\u202Etoml" = ‸1', "'\\u202etoml': unknown key '\\u202etoml'; allowed are"
    ),
    "key in Greek": but('look_for = "L"', '"τίτλος" = ‸1', "'τίτλος': unknown key 'τίτλος'; allowed are"),
    "unknown answer": but(
        '"compare"', '"‸comparison"', "answer: unknown answer 'comparison' (did you mean 'compare'?)"
    ),
    "unknown operator": but('"gradient"', '"‸grad"', "operator: unknown operator 'grad' (did you mean 'gradient'?)"),
    "an operator that the kind does not know": but(
        'answer = "compare"\noperator = "gradient"',
        'answer = "crossover"\noperator = "‸hvp"',
        'operator: a study with answer = "crossover" knows the jacobian only',
    ),
    "unknown baseline": but(
        'baseline = "reverse"', 'baseline = "‸forward"', "baseline: 'forward' is none of the backends"
    ),
    "a title of two lines": but(
        '"T"', '"‸a\\nb"', "title: must be a text without control characters, and this one holds a line break"
    ),
    "a very long line": but('"T"', "‸" + "9" * 4000, "title: must be a text, got an integer of"),
    "a very long text": but('"gradient"', '"‸' + "grad" * 20000 + '"', "operator: unknown operator 'gradgrad"),
    "a table for a text": but('title = "T"\n', "", "title: must be a text, got a table")._replace(
        text=GOOD.replace('title = "T"\n', "") + "‸[title]\na = 1\n"
    ),
    "a table of another kind": Bad(
        GOOD + "‸[training]\nsteps = 5\n",
        ('training: only a study with answer = "training" has a table [training]; this one has answer = "compare"',),
    ),
    "dotted keys": but(
        'look_for = "L"',
        'limits.second = ‸1\ntiming."gc".x = 2\ntiming.processes = ‸0',
        "limits.second: unknown key",
        "gc: must be true or false, got a table",
        "processes: must be",
    )._replace(
        text=GOOD.replace('look_for = "L"', 'limits.second = ‸1\n‸timing."gc".x = 2\ntiming.processes = ‸0')
        .split("[limits]")[0]
        .replace("‸timing.", "‸timing.")
    ),
    "inline tables": but(
        'look_for = "L"',
        'limits = { seconds = ‸-1, "memory"="‸1 b" } # ]\n',
        "limits.seconds: must be a",
        "limits.memory: must be a",
    )._replace(
        text=GOOD.replace('look_for = "L"', 'limits = { seconds = ‸-1, "memory"="‸1 b" } # ]\n').split("[limits]")[0]
    ),
}
TABLES = {
    "[problem]": Bad(
        GOOD.replace("[[problem]]", "‸[problem]").replace("digits-mlp", "‸digits"),
        ("problem: must be written as [[problem]], once for each problem", "problem.name: unknown problem 'digits'"),
    ),
    "problem = 3": Bad(
        GOOD.replace('look_for = "L"', "problem = ‸3").replace(PROBLEM_TABLE, ""),
        ("problem: must be written as [[problem]]",),
    ),
    "problem = []": Bad(
        GOOD.replace('look_for = "L"', "problem = ‸[]").replace(PROBLEM_TABLE, ""),
        ("problem: there must be at least one [[problem]]",),
    ),
    "problems of mixed types": Bad(
        GOOD.replace('look_for = "L"', 'problem = [‸3, { name = "‸digits" },\n ‸"x"]')
        .replace(PROBLEM_TABLE, "")
        .replace('‸"x"', '"‸x"'),
        (
            "problem[0]: must be written as a table [[problem]], got 3",
            "problem[1].name: unknown problem",
            "problem[2]: must be",
        ),
    ),
    "[[limits]]": but("[limits]", "‸[[limits]]", "limits: must be written as a table [limits]"),
    "[[timing]]": but("[timing]", "‸[[timing]]", "timing: must be written as a table [timing]"),
    "[limit]": but("[limits]", "‸[limit]", "limit: unknown key 'limit' (did you mean 'limits'?)"),
    "a table in limits": but(
        "[timing]",
        "‸[limits.memories]\nx = 1\n[timing]",
        "limits.memories: unknown key 'memories' (did you mean 'memory'?); allowed in limits are seconds, memory",
    ),
    "unknown keys everywhere": Bad(
        GOOD.replace("quick =", "quik =")
        .replace('quik = ["', 'quik = ‸["')
        .replace("samples =", "sample = ‸9 #")
        .replace("\nseconds = ", "\nsecond = ‸"),
        ("problem[0].quik: unknown key", "limits.second: unknown key", "timing.sample: unknown key"),
    ),
    "most processes below processes": but(
        "most_processes = 15",
        "most_processes = ‸5",
        "timing.most_processes: must be at least processes, which is 6; got 5",
    ),
}
PROBLEMS = {
    "unknown problem": but(
        '"digits-mlp"', '"‸digit-mlp"', "problem[0].name: unknown problem 'digit-mlp' (did you mean 'digits-mlp'?)"
    ),
    "no name": Bad(
        GOOD.replace('name = "digits-mlp"\n', "").replace("[[problem]]", "‸[[problem]]"),
        ("problem[0].name: is missing",),
    ),
    "name of a number": but('"digits-mlp"', "‸7", "problem[0].name: must be a text, got 7"),
    "name with an escape": but(
        '"digits-mlp"',
        '"‸digits\\u001b[2J"',
        "problem[0].name: must be a text without control characters, and this one holds the control character U+001B",
    ),
    "unknown sizes": but(
        '["tiny", "small"]',
        '["‸tin",\n  "small", # x\n  "‸smal"]',
        "problem[0].sizes[0]: unknown size 'tin' (did you mean 'tiny'?)",
        "problem[0].sizes[2]: unknown size 'smal'",
    ),
    "a size twice": but('["tiny", "small"]', "['tiny', '‸tiny']", "problem[0].sizes[1]: 'tiny' is listed twice"),
    "sizes of mixed types": but(
        '["tiny", "small"]',
        '["tiny", ‸3, ‸["small"], ‸{}, ‸true, "‸x"]',
        "sizes[1]: must be a text, got 3",
        "sizes[2]: must be a text, got ['small']",
        "sizes[3]: must be a text, got a table",
        "sizes[4]: must be",
        "sizes[5]: unknown size 'x'",
    ),
    "sizes that are a text": but(
        '["tiny", "small"]',
        '"‸tiny"',
        'problem[0].sizes: must be a list of texts such as ["tiny", "small"], got \'tiny\'',
    ),
    "no sizes": but('["tiny", "small"]', "‸[]", "problem[0].sizes: must be a list of texts"),
    "sizes that are a table": but(
        'sizes = ["tiny", "small"]', "sizes.tiny = 1", "problem[0].sizes: must be a list of texts such as"
    )._replace(text=GOOD.replace('sizes = ["tiny", "small"]', "‸sizes.tiny = 1")),
    "unknown dtype": but(
        '["float64"]',
        '["‸float46", "‸double", "float32"]',
        "dtypes[0]: unknown dtype 'float46' (did you mean 'float64'?)",
        "dtypes[1]: unknown dtype 'double' (known: ",
    ),
    "a dtype twice": but('["float64"]', '["float64", "float32", "‸float64"]', "dtypes[2]: 'float64' is listed twice"),
    "quick of other sizes": but(
        'quick = ["tiny"]', 'quick = ["‸full", ‸1]', "quick[0]: unknown size 'full'", "quick[1]: must be a text"
    ),
    "quick of nothing": but('quick = ["tiny"]', "quick = ‸false", "problem[0].quick: must be a list of texts"),
    "the same problem twice": Bad(
        GOOD + '‸[[problem]]\nname = "digits-mlp"\n',
        ("problem[1]: 'digits-mlp' at size 'small' in float64 is already listed above",),
    ),
    "a zoo in a comparison": but(
        '"digits-mlp"\nsizes = ["tiny", "small"]',
        '"‸difflab.traps:PROBLEM"\nsizes = ["‸tiny"]',
        'is a zoo of traps, for studies with answer = "traps"',
        "unknown size 'tiny'",
    ),
    "no zoo for traps": Bad(
        ONCE.replace('"training"', '"traps"').replace('"digits', '"‸digits').split("[training]")[0],
        ("problem[0].name: 'digits-mlp' holds no traps; a study with",),
    ),
    "problem of no module": but(
        '"digits-mlp"',
        '"‸no_such_module:CUBES"',
        "module 'no_such_module' of 'no_such_module:CUBES' cannot be imported: No module named 'no_such_module'",
    ),
    "problem of no attribute": but('"digits-mlp"', '"‸math:CUBES"', "module 'math' has no 'CUBES'"),
    "problem that is none": but(
        '"digits-mlp"', '"‸math:pi"', "'math:pi' is no problem, which has a name, sizes and a build"
    ),
    "a colon and nothing": but(
        '"digits-mlp"', '"‸:"', "':' must name a module and what is in it, as in 'my_losses:CUBES'"
    ),
    "a call as a problem": but('"digits-mlp"', "\"‸os:system('true')\"", "must name a module and what is in it"),
    "a relative module": but('"digits-mlp"', '"‸..lab:run"', "'..lab:run' must name a module"),
}
BACKENDS = {
    "unknown backend": but(
        '"reverse"\n\n[[backend]]',
        '"‸revers"\n\n[[backend]]',
        "backend[0].name: unknown backend 'revers' (did you mean 'reverse'?)",
    ),
    "no name": Bad(
        GOOD.replace('name = "finite"\n', "").replace("\n[[backend]]\nlabel", "\n‸[[backend]]\nlabel"),
        ("backend[1].name: is missing",),
    ),
    "name of a list": but('"finite"', '‸["finite"]', "backend[1].name: must be a text, got ['finite']"),
    "unknown option": but(
        "scheme =", "schem =", "backend[1].schem: backend 'finite' has no option 'schem' (did you mean 'scheme'?)"
    )._replace(text=GOOD.replace('scheme = "f', 'schem = "‸f')),
    "option of a backend without": but(
        'name = "reverse"\n',
        'name = "reverse"\nstep = ‸1.0\n',
        "backend[0].step: backend 'reverse' has no option 'step'",
    ),
    "options that are refused": but(
        'scheme = "forward"',
        'scheme = "‸up"\nstep = ‸-1\nchunk = ‸2.5\nbogus = ‸1',
        "backend[1].scheme: Finite(scheme='up'): the schemes are",
        "backend[1].step: Finite(step=-1): the step is",
        "backend[1].chunk: ",
        "backend[1].bogus: backend 'finite' has no option 'bogus'",
    ),
    "options that need each other": but(
        'scheme = "forward"',
        'scheme = "forward"\norder = 1\nstep = ‸0',
        "backend[1].step: Finite(step=0): the step is 'auto' or a positive number",
    ),
    "options that exclude each other": but(
        '[[backend]]\nname = "finite"\nlabel = "differences"\nscheme = "forward"',
        '‸[[backend]]\nname = "finite"\nnoise = "estimate"\nstep = 1',
        "backend[1]: Finite(step=1, noise='estimate'): the noise chooses the step, and",
    ),
    "option of no plain type": but(
        '"forward"',
        "‸1979-05-27",
        "backend[1].scheme: an option must be a text, a finite number of at most 64 bits, true or false, or a list",
    ),
    "option that is no number": but(
        'scheme = "forward"', "step = ‸nan", "backend[1].step: an option must be a text, a finite number"
    ),
    "option of 65 bits": but(
        'scheme = "forward"',
        "chunk = ‸0xfffffffffffffffff",
        "backend[1].chunk: an option must be a text, a finite number of at most 64 bits",
    ),
    "option of 100000 bits": but(
        'scheme = "forward"', "chunk = ‸0x" + "f" * 25000, "backend[1].chunk: an option must be"
    ),
    "option that is a table": but('scheme = "forward"', "scheme = ‸{ a = 1 }", "backend[1].scheme: an option must be"),
    "option of lists": but('scheme = "forward"', "bounds = ‸[[1], [2]]", "backend[1].bounds: an option must be"),
    "option with a line break": but(
        'scheme = "forward"', '"a\\nb" = ‸1', "backend[1].'a\\nb': backend 'finite' has no option 'a\\nb'"
    ),
    "a label twice": but(
        '"differences"',
        '"‸reverse"',
        "backend[1].label: 'reverse' is the label of another backend already; give one of them another label",
    ),
    "a label of 500 characters": but(
        '"differences"', '"‸' + "x" * 500 + '"', "backend[1].label: a label has at most 120 characters, this one 500"
    ),
    "a label of two lines": but(
        '"differences"',
        '"""‸a\nb"""',
        "backend[1].label: must be a text without control characters, and this one holds a line break",
    ),
    "the same backend twice": Bad(
        GOOD + '[[backend]]\nname = "‸reverse"\n',
        ("backend[2].name: 'reverse' is listed already; leave one of the two out",),
    ),
    "backend of no module": but(
        '"finite"', '"‸no_such_module:Own"', "module 'no_such_module' of 'no_such_module:Own' cannot be imported"
    ),
    "backend that cannot be called": but(
        '"finite"', '"‸math:pi"', "'math:pi' cannot be used: TypeError: 'float' object is not callable"
    )._replace(text=GOOD.replace('"finite"', '"‸math:pi"').replace('scheme = "forward"\n', "")),
    "backend that is none": Bad(
        GOOD.replace('"finite"', '"‸os:getcwd"').replace('scheme = "forward"\n', ""),
        ("'os:getcwd' is no backend, which has a name, a family",),
    ),
    "backend that ends Python": Bad(
        GOOD.replace('"finite"', '"‸builtins:exit"').replace('scheme = "forward"\n', ""),
        ("'builtins:exit' cannot be used: SystemExit",),
    ),
}
KINDS = {
    "a baseline of nothing": but(
        'answer = "training"',
        'answer = "training"\nbaseline = "‸reverse"',
        'baseline: a study with answer = "training" compares no times; leave the baseline out',
        text=ONCE,
    ),
    "timing of nothing": Bad(
        ONCE + "[timing]\nsamples = ‸0\nthreads = ‸0\nbogus = ‸1\n",
        (
            'timing.samples: a study with answer = "training" times nothing; leave samples out',
            "timing.threads: must be a whole",
            "timing.bogus: unknown key",
        ),
    ),
    "settings out of range": but(
        "steps = 50\nseconds = 2",
        "steps = ‸0\nseconds = ‸1e9\nmomentum = ‸1.5\nrat = ‸1",
        "training.steps: must be a whole number from 1 to",
        "training.seconds: must be a number",
        "training.momentum: must be",
        "training.rat: unknown key 'rat' (did you mean 'rate'?)",
        text=ONCE,
    ),
    "settings that are a text": Bad(
        ONCE.split("[training]")[0].replace("[[problem]]", 'training = "‸x"\n[[problem]]'),
        ("training: must be written as a table [training]",),
    ),
    "scales of mixed types": but("[1, 3]", '[1, ‸0, ‸2.0, "‸x", ‸true, ‸[1], ‸65]', *["chain.scales["] * 6, text=CHAIN),
    "scales of nothing": but(
        "[1, 3]", "‸[]", "chain.scales: must be a list of numbers such as [1, 2, 4, 8], got []", text=CHAIN
    ),
    "steps out of range": but(
        "from = 1e-1\nper_decade = 2",
        "from = ‸0\nper_decade = ‸21",
        "steps.from: must be a number from 1e-300 to 1e+06",
        "steps.per_decade: must be a whole number from 1 to 20",
        text=STEPS,
    ),
    "a range of one step": but(
        "[steps.float64]\nto = 1e-9",
        "‸[steps.float64]\nto = 1e-1",
        "steps.float64: in float64 the steps go from 0.1 to 0.1, which is a single one",
        text=STEPS,
    ),
    "a range that is a number": Bad(
        STEPS.split("[steps.float64]")[0] + "float64 = ‸3\n",
        ("steps.float64: must be written as a table [steps.float64]",),
    ),
    "a range for no dtype": but(
        "[steps.float64]",
        "‸[steps.float65]",
        "steps.float65: unknown key 'float65' (did you mean 'float64'?)",
        text=STEPS,
    ),
}
CATALOGUE: dict[str, Bad] = {}
for _name, _group in {
    "value": values(),
    "top": TOP,
    "table": TABLES,
    "problem": PROBLEMS,
    "backend": BACKENDS,
    "kind": KINDS,
    "syntax": SYNTAX,
}.items():
    CATALOGUE |= {f"{_name}: {key}": bad for key, bad in _group.items()}
