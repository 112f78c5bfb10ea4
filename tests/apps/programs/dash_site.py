"""Dash: two callbacks, which have one route."""

from dash import Dash, Input, Output, dcc, html
from dash.exceptions import PreventUpdate

app = Dash(__name__)
server = app.server
app.layout = html.Div([dcc.Input(id="who"), html.Div(id="greeting"), html.Div(id="length")])


@app.callback(Output("greeting", "children"), Input("who", "value"))
def greet(who):
    """Greet somebody, once there is somebody."""
    if not who:
        raise PreventUpdate
    return f"Hello {who}"


@app.callback(Output("length", "children"), Input("who", "value"))
def measure(who):
    """Count the letters; of nobody it cannot."""
    return len(who)
