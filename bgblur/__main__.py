"`python -m bgblur` is the command `bgblur`."
from bgblur.cli import main

if __name__ == '__main__': main()
