"""The routes of the server, by what they are about; each module makes one router for what is served."""
