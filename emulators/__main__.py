"""`python -m emulators`."""

from emulators.run import main

if __name__ == "__main__":
    main()
