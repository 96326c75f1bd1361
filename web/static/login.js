// With JavaScript the code is sent by itself; without, there is a button.
document.getElementById("login").requestSubmit();
