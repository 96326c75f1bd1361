{ imports = [ 5 ]; }
