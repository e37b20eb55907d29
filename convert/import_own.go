package convert

type ownResults struct{}

func (im *importer) ownAdditions(o object) ownResults { return ownResults{} }
func (im *importer) applyOwn()                        {}
