"""Data sets recognised by what their files hold, and the training they are good for."""
