"""Show a widget in Chromium without JupyterLab, and connect it to its Python object.

The page runs the widget's JavaScript with a small model in place of Jupyter's. `Shown.sync` carries traits and messages
between that model and the real Python object, so both sides are tested together, in a second or two.
"""
from base64 import b64encode

MODEL = '''async ([esm, css, state]) => {
    const bytes = v => v?.bytes === undefined ? v : new DataView(Uint8Array.from(atob(v.bytes), c => c.charCodeAt(0)).buffer);
    const decode = v => Array.isArray(v) ? v.map(bytes) : bytes(v);
    const listeners = {}, values = {}, queue = [];
    let changed = {};
    function set(name, value) {
        values[name] = value;
        for (const f of listeners['change:' + name] || []) f();
    }
    window.fromPython = state => {
        const decoded = Object.entries(state).map(([name, value]) => [name, decode(value)]);
        for (const [name, value] of decoded) values[name] = value;    // all values before the first listener, as in Jupyter
        for (const [name, value] of decoded) set(name, value);
    };
    window.toPython = () => queue.splice(0);
    const model = {
        get: name => values[name],
        set(name, value) { changed[name] = value; set(name, value); },
        save_changes() { queue.push({ state: changed }); changed = {}; },
        send(content) { queue.push({ content }); },
        on(name, f) { (listeners[name] ||= []).push(f); },
    };
    fromPython(state);
    document.head.append(Object.assign(document.createElement('style'), { textContent: css }));
    const module = await import(URL.createObjectURL(new Blob([esm], { type: 'text/javascript' })));
    await module.default.render({ model, el: document.body });
}'''


def encoded(value):
    "Return a trait's value in a form that JSON can hold."
    if isinstance(value, bytes): return {'bytes': b64encode(value).decode()}
    return [encoded(v) for v in value] if isinstance(value, list) else value


class Shown:
    "A widget on a page. `errors` collects what the page writes to its console as an error."
    def __init__(self, page, widget):
        self.page, self.widget, self.errors, self.changed = page, widget, [], {}
        page.on('console', lambda m: self.errors.append(m.text) if m.type == 'error' else None)
        page.on('pageerror', lambda e: self.errors.append(str(e)))
        page.set_content('<!doctype html><html lang="en"><title>widget</title><body></body>')
        traits = [name for name, t in widget.traits(sync=True).items() if not name.startswith('_')]
        widget.observe(lambda c: self.changed.update({c.name: c.new}), traits)
        state = {name: encoded(getattr(widget, name)) for name in traits if name not in ('layout', 'tabbable', 'tooltip')}
        page.evaluate(MODEL, [str(widget._esm), str(widget._css), state])

    def sync(self):
        "Exchange traits and messages. Return whether there were any."
        received = self.page.evaluate('toPython()')
        for message in received:
            for name, value in message.get('state', {}).items(): setattr(self.widget, name, value)
            if 'content' in message: self.widget._handle_custom_msg(message['content'], [])
        changed, self.changed = self.changed, {}
        if changed: self.page.evaluate('fromPython', {name: encoded(value) for name, value in changed.items()})
        return bool(received or changed)

    def settle(self):
        "Exchange everything until nothing more comes. The browser waits at most 50 ms before it sends."
        self.page.wait_for_timeout(100)
        while self.sync(): self.page.wait_for_timeout(100)

    def pixel(self, x, y):
        "Return the position on the page of pixel (x, y) of the canvas."
        box, size = self.page.locator('canvas').bounding_box(), self.page.evaluate('(c => [c.width, c.height])(document.querySelector("canvas"))')
        return box['x'] + (x + .5)*box['width']/size[0], box['y'] + (y + .5)*box['height']/size[1]
