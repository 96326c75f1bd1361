// Where there is nothing to choose, the code is sent by itself; without JavaScript there is
// a button.
document.getElementById("login").requestSubmit();
