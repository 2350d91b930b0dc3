"Show the JavaScript of a widget on an empty page in Chromium, without JupyterLab. The test plays the Python side."
from base64 import b64encode
from contextlib import contextmanager

ADDRESS = 'http://localhost/widget.html'     # the browser never connects: `show` answers itself

# What Jupyter's model does: values with listeners, and messages. `sent` and `saved` hold what would go to Python.
PAGE = """<!DOCTYPE html><meta charset="utf-8"><title>widget</title><style id="css"></style>
<style>body { margin: 10px; font-family: sans-serif; }</style><div id="first"></div><div id="second"></div>
<script type="module">
function fakeModel(state) {
  const listeners = {};
  const emit = (name, ...args) => [...(listeners[name] || [])].forEach(f => f(...args));
  return {
    state, listeners, emit, sent: [], saved: [], changed: {},
    get: name => state[name],
    set(name, value) {
      if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
      state[name] = this.changed[name] = value;
      emit('change:' + name);
    },
    save_changes() { this.saved.push(this.changed); this.changed = {}; },
    send(content, callbacks, buffers) { this.sent.push(content); this.buffers = buffers; },
    on(name, f) { (listeners[name] ||= []).push(f); },
    off(name, f) { listeners[name] = (listeners[name] || []).filter(g => g !== f); },
  };
}
window.start = async (esm, css, state) => {
  document.getElementById('css').textContent = css;
  window.widget = (await import(URL.createObjectURL(new Blob([esm], { type: 'text/javascript' })))).default;
  window.model = fakeModel(state);
  window.show = async id => window.widget.render({ model, el: document.getElementById(id) });
  window.remove = await show('first');
};
window.receive = (content, data = []) => {
  const buffers = data.map(text => new DataView(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer));
  model.emit('msg:custom', content, buffers);
};
</script>"""


def state_of(widget):
    "Return the values that the browser would get, except code and looks."
    own = {k: v for k, v in widget.get_state().items() if not k.startswith('_')}
    return {k: v for k, v in own.items() if isinstance(v, (bool, int, float, str, list, dict, tuple))}


def send(page, widget):
    "Send to the page what a message `ready` makes the widget send."
    widget.send = lambda content, buffers=(): receive(page, content, buffers)
    widget._handle_custom_msg({'kind': 'ready'}, [])


def receive(page, content, buffers=()):
    "Let the widget on the page receive a message from Python."
    page.evaluate('([content, data]) => receive(content, data)', [content, [b64encode(b).decode() for b in buffers]])


@contextmanager
def shown(browser, widget, width=900, height=800):
    "Yield a page of a browser of Playwright that shows the widget. Check at the end that the console has no error."
    page, errors = browser.new_page(viewport={'width': width, 'height': height}), []
    page.on('console', lambda m: errors.append(m.text) if m.type in ('error', 'warning') else None)
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.route('**/*', lambda route: route.fulfill(body=PAGE, content_type='text/html'))
    page.goto(ADDRESS)
    page.wait_for_function('() => Boolean(window.start)')
    page.evaluate('args => start(...args)', [widget._esm, widget._css, state_of(widget)])
    yield page
    page.close()
    assert errors == []
