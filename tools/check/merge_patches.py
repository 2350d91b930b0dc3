"""Put the methods that `@patch` adds into their classes, for readers that do not run the code: mypy and editors.

`setup.py` writes the result into the wheel as .pyi files, and `tools/check/check_types.py` checks it."""
import ast

KINDS = {'as_prop': 'property', 'cls_method': 'classmethod'}


def patch_of(node):
    "Return the decorator `@patch` of a function, or None."
    names = {d: d.func if isinstance(d, ast.Call) else d for d in getattr(node, 'decorator_list', ())}
    return next((d for d,name in names.items() if isinstance(name, ast.Name) and name.id == 'patch'), None)


def decorator(node):
    "Return the line that stands for `@patch` when a function is in its class."
    options = [k.arg for k in getattr(patch_of(node), 'keywords', ())]
    if 'set_prop' in options: return f'@{node.name}.setter'
    return next((f'@{KINDS[o]}' for o in options), '')


def without_none(lines, tree):
    """Return the lines with another value for each attribute that starts as None. Another method sets it later, and
    mypy would believe that it stays None. `eval` returns a value of any type."""
    lines = [line.encode() for line in lines]
    for node in sorted((n for top in tree for n in ast.walk(top) if isinstance(n, ast.Assign)), key=lambda n: -n.col_offset):
        pairs = [(t, v) for target in node.targets for t,v in
                 (zip(target.elts, node.value.elts) if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) else [(target, node.value)])]
        starts = {(v.lineno, v.col_offset) for t,v in pairs if isinstance(v, ast.Constant) and v.value is None
                  and (isinstance(t, ast.Attribute) or node.col_offset == 4)}
        for row,col in sorted(starts, reverse=True): lines[row - 1] = lines[row - 1][:col] + b"eval('0')" + lines[row - 1][col + 4:]
    return [line.decode() for line in lines]


def methods_of(tree, lines):
    "Return the patched methods of each class as lists of `(name, numbers and lines)`, setters after their property."
    found = {}
    for f in (node for node in tree if patch_of(node)):
        first,mine = f.decorator_list[0].lineno,found.setdefault(f.args.args[0].annotation.id, [])
        body = [(i, '    ' + lines[i - 1]) for i in range(first, f.end_lineno + 1)]
        body[patch_of(f).lineno - first] = patch_of(f).lineno,'    ' + decorator(f)
        same = [i for i,(name,_) in enumerate(mine) if name == f.name]
        mine.insert(same[-1] + 1 if same else len(mine), (f.name, body))
    return found


def merged(text):
    "Return the source of a module with its patched methods in their classes, and the original number of each line."
    lines,tree = text.splitlines(),ast.parse(text).body
    lines = without_none(lines, tree)
    methods,found = methods_of(tree, lines),[]
    gone = {i for node in tree if patch_of(node) for i in range(node.decorator_list[0].lineno, node.end_lineno + 1)}
    ends = {node.end_lineno: node.name for node in tree if isinstance(node, ast.ClassDef)}
    for i,line in enumerate(lines, 1):
        if i not in gone: found.append((i, line))
        for _,body in methods.pop(ends.get(i), ()): found += body
    assert not methods, f'no class {[*methods]} in this module'
    return '\n'.join(line for _,line in found) + '\n',[0, *(n for n,_ in found)]
