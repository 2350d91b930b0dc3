"Run the command: `python -m bgblur` is the same as `bgblur`."
from bgblur.cli import main

if __name__ == '__main__': main()
