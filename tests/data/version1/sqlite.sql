BEGIN TRANSACTION;
CREATE TABLE v1_requests (
	record_key TEXT NOT NULL, 
	time TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	trace_id TEXT, 
	span_id TEXT, 
	service TEXT NOT NULL, 
	method TEXT NOT NULL, 
	route TEXT, 
	status INTEGER NOT NULL, 
	duration_ms REAL NOT NULL, 
	refused TEXT, 
	PRIMARY KEY (record_key)
);
INSERT INTO "v1_requests" VALUES('18e91f57516d698a5b208ac62cb95c6c','2026-11-18T11:13:06.372594Z','20261126T000000:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',NULL,NULL,'back office','GET','/',200,12.427,NULL);
INSERT INTO "v1_requests" VALUES('18e91f5775d5107b402b76e74e129598','2026-11-18T11:13:06.983366Z','20261126T000001:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','6a9df49c0954549c429fdbf75da24106','073391a54bcee26a','shop','POST','/pay',200,104.772,NULL);
INSERT INTO "v1_requests" VALUES('18e91f577e5619f2cfc2a5fb37057b65','2026-11-18T11:13:07.126041Z','20261126T000002:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','3379959f884f31660a43fe8899ef1e6e','e05046ee8adb2a05','back office','POST','/cart/<int:cart_id>',200,8.955,NULL);
INSERT INTO "v1_requests" VALUES('18e91f57af79f5c2408394d027f9bd28','2026-11-18T11:13:07.950474Z','r-3','2d2b43d940fdc9144b239812440ead79','c967d7e8553138ea','shop','GET',NULL,404,34.748,NULL);
INSERT INTO "v1_requests" VALUES('18e91f57dce90df2c756e11968bb4e9a','2026-11-18T11:13:08.712730Z','r-4','e6f8ed18c7b72a9565bc44ab02629774','9ba60db1fa12ca05','back office','POST','/cart/<int:cart_id>',200,5.504,NULL);
INSERT INTO "v1_requests" VALUES('18e91f57df8c955c9ecaced18612acdb','2026-11-18T11:13:08.757001Z','20261126T000005:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','217fe12c0f83f2af8fd99677038047c1','42e62f65cea4c0a1','shop','BREW',NULL,405,7.143,NULL);
INSERT INTO "v1_requests" VALUES('18e91f5800804dd1ab8afe950919d2b9','2026-11-18T11:13:09.309844Z','86fd81ccdb84a29b5a43ec90e6e11acf',NULL,NULL,'shop','GET','/search',200,10.492,NULL);
INSERT INTO "v1_requests" VALUES('18e92134d2e28bcf8dc0036f5619874d','2026-11-18T11:47:17.243931Z','20261126T000007:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',NULL,NULL,'shop','GET',NULL,404,30.335,NULL);
INSERT INTO "v1_requests" VALUES('18e92134f95fb1f66328e5677161620e','2026-11-18T11:47:17.889667Z','20261126T000008:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',NULL,NULL,'back office','GET','/',200,16.739,NULL);
INSERT INTO "v1_requests" VALUES('18e9213516c8d4e6c4e2bedc3efabf64','2026-11-18T11:47:18.383097Z','r-9',NULL,NULL,'shop','GET',NULL,404,88.658,NULL);
INSERT INTO "v1_requests" VALUES('18e921352ceb08340119f320c4a05e95','2026-11-18T11:47:18.754437Z','20261126T000010:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',NULL,NULL,'shop','POST','/cart/<int:cart_id>',200,69.432,NULL);
INSERT INTO "v1_requests" VALUES('18e921352f9de179c6a66928f2ad62f2','2026-11-18T11:47:18.799712Z','20261126T000011:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','b2682e217afc8dcaaacb929e00617627','2bdcddead93f3815','shop','BREW',NULL,405,9.289,NULL);
INSERT INTO "v1_requests" VALUES('18e9213536ff7751d2b51a358c2c2da7','2026-11-18T11:47:18.923548Z','r-12','ae6e12e874e399448db13674afabd9cd','ba42e8cccf163d3a','back office','GET','/stream',200,3.257,NULL);
INSERT INTO "v1_requests" VALUES('18e921356e4e420ce81d4a8d09a07d4c','2026-11-18T11:47:19.851459Z','20261126T000013:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','768bf555c1bbe7976480ce58fb269520','ab8e77ce91b126cc','shop','GET','/stream',200,24.904,NULL);
INSERT INTO "v1_requests" VALUES('18e921f28f548867254245ba107a9c9c','2026-11-18T12:00:52.154337Z','20261126T000014:xxxxxxxxxxxxxxxxxxx','c738c0b109fd4a8d21ae388619a93bc4','ee526ebc4bf41080','shop','BREW',NULL,405,27.441,NULL);
INSERT INTO "v1_requests" VALUES('18e921f29a59a411558b8c5e90b7728a','2026-11-18T12:00:52.339221Z','r-15','1a825ba5dfe7966d0b343b69595f76f2','b7c75971495e175a','back office','GET','/search',200,10.745,NULL);
INSERT INTO "v1_requests" VALUES('18e921f2b9a4246f26b3112e50550c74','2026-11-18T12:00:52.864197Z','r-16',NULL,NULL,'shop','GET','/stream',201,19.916,NULL);
INSERT INTO "v1_requests" VALUES('18e921f2dadad8ce772fa37897669fa0','2026-11-18T12:00:53.421430Z','f21a33af7c257bd4bb9deaf5f61c3d3c','57af55a59bbbd0338fbea802ea6f6917','22ae9bbd6fd75859','shop','GET','/',500,47.626,NULL);
INSERT INTO "v1_requests" VALUES('18e921f2e5c7ec30b4e29161214556c9','2026-11-18T12:00:53.604740Z','5e740135f14560b9236fd30505701f82','ff420546580182a36e7ef28ab2cfa7da','a25cf7d8aa538dae','shop','POST','/pay',200,27.685,NULL);
INSERT INTO "v1_requests" VALUES('18e921f2f69c09330fc7167dcbaeaa18','2026-11-18T12:00:53.887076Z','857207ece7387cf9f0eca3c785b18d7d','0aa520283e00dda43ec16611c5319aed','b3bf43b244023551','shop','GET','/stream',200,4.719,NULL);
INSERT INTO "v1_requests" VALUES('18e921f3312fd9cb4ae753e26806a8e8','2026-11-18T12:00:54.869842Z','r-20','e71678db86b0af145b0928474d11f348','115cef0a990b0338','shop','GET','/stream',200,7.44,NULL);
INSERT INTO "v1_requests" VALUES('18e922262ec105d5b86b3cb4e4d44814','2026-11-18T12:04:33.872356Z','d298b4cb18ef252c9d198b3d73134c51','036694432520d946f3e11def48d7a865','2ba2e21f7522f5fd','shop','GET','/stream',200,17.351,NULL);
INSERT INTO "v1_requests" VALUES('18e9222666b6385816751c925ee44884','2026-11-18T12:04:34.811172Z','20261126T000022:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','842ad5c6840e79fa9fa5293ef00f17b2','59a171a2ec4bbb76','back office','GET','/stream',200,10.613,NULL);
INSERT INTO "v1_requests" VALUES('18e922268e4407e1032a2aa0247879f3','2026-11-18T12:04:35.474778Z','09eaa8b841fe21a8ebcfdc1d410266ab','7f5df68c59e2f6b7e23e6385770242cb','430e98f63aa9fd23','back office','POST','/pay',503,43.365,NULL);
INSERT INTO "v1_requests" VALUES('18e922269d10b3acf690b4f5d721bc6f','2026-11-18T12:04:35.723072Z','r-24','478e7a28b3349585bdb2cdd19015a7e7','4940038c50a4451d','shop','POST','/pay',200,54.916,NULL);
INSERT INTO "v1_requests" VALUES('18e92226a42b3e77e6d5553374cc8e60','2026-11-18T12:04:35.842252Z','20261126T000025:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','486f9c0d8fcf3bf7e5fb8e672a5a8b8b','b2c04f735ca006ae','back office','GET','/',200,26.068,NULL);
INSERT INTO "v1_requests" VALUES('18e92226ae8ee97d2cf0dc7ce4976a9e','2026-11-18T12:04:36.016556Z','eec52725f329402bab040eead9bb7673','ea74c1506ae9e669d794352f4697a528','c65eb6c80c0ad150','back office','GET','/cart/<int:cart_id>',200,90.317,NULL);
INSERT INTO "v1_requests" VALUES('18e92226c096f3ebb2d8997c08150106','2026-11-18T12:04:36.319073Z','20261126T000027:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','041e201b4bc75799d1fbe20da7e2d154','fac7f363bf090f6f','back office','BREW',NULL,405,13.344,NULL);
INSERT INTO "v1_requests" VALUES('18e92229030e65e4751e92c255105053','2026-11-18T12:04:46.024132Z','r-28',NULL,NULL,'shop','GET','/',200,25.171,NULL);
INSERT INTO "v1_requests" VALUES('18e922292674f20b4ad36aa2d9754381','2026-11-18T12:04:46.618055Z','20261126T000029:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','ecb53f68e1a41a10843d909ede50a7b7','b7869df3dfa532bd','back office','GET','/stream',200,10.362,NULL);
INSERT INTO "v1_requests" VALUES('18e922293b301fec97ffcbdb353dd203','2026-11-18T12:04:46.965866Z','04f69a537266d96db70a800bc986ef31','86f713f7a89ae8862b78dc384b7e03b1','3520c05af0e83ff4','back office','POST','/cart/<int:cart_id>',302,19.297,NULL);
INSERT INTO "v1_requests" VALUES('18e922293e1fb46dc02261ff1b9cf4b1','2026-11-18T12:04:47.015122Z','r-31','3e84a542a1fa4c6e6a3ee6ae7a32bae3','c20524314e6c9d73','back office','GET','/cart/<int:cart_id>',201,35.178,'{"basket": "not a number"}');
INSERT INTO "v1_requests" VALUES('18e9222940b17d92c53ade99151d637c','2026-11-18T12:04:47.058230Z','f3bd987e05e57759019ae06010d03bfb','47e1a2137879f78afe240b7392afc0a0','b8c50fb577f95798','back office','BREW',NULL,405,6.327,NULL);
INSERT INTO "v1_requests" VALUES('18e92229525e74e3eebf250fff2304b3','2026-11-18T12:04:47.354778Z','r-33',NULL,NULL,'back office','POST','/pay',200,13.11,NULL);
INSERT INTO "v1_requests" VALUES('18e922297da4608c717cd86529eb1f7a','2026-11-18T12:04:48.080781Z','r-34',NULL,NULL,'back office','GET','/search',200,135.991,'{"basket": "not a number"}');
INSERT INTO "v1_requests" VALUES('18e922397bd979131e824a2d2572475f','2026-11-18T12:05:56.770183Z','r-35','832ad18b2d05162d9a5588ec452bbc93','92a6cc109c0b2160','back office','GET','/search',200,47.971,NULL);
INSERT INTO "v1_requests" VALUES('18e92239964019aff83077112ec11a0b','2026-11-18T12:05:57.213116Z','r-36','4a12368df188a9fb81cfc469554b1349','ae8762f26ef68910','shop','BREW',NULL,405,3.395,NULL);
INSERT INTO "v1_requests" VALUES('18e922399bd1b7ad1945a09e1c9a4aca','2026-11-18T12:05:57.306546Z','60147be981656b7f9135a1ecacc924d6',NULL,NULL,'shop','GET','/search',500,10.748,NULL);
INSERT INTO "v1_requests" VALUES('18e92239a52295e300e1deda31f873ae','2026-11-18T12:05:57.462840Z','c452b3e3129a7e1c0fce4788dd70f930',NULL,NULL,'shop','GET','/stream',200,3.061,NULL);
INSERT INTO "v1_requests" VALUES('18e92239b29e8a5b8c6fb3f3c818f8cd','2026-11-18T12:05:57.689068Z','r-39','19225d94c22ccb4710c17598ba6e165b','8d005332b53a237a','shop','GET','/',200,8.158,NULL);
CREATE TABLE v1_schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "v1_schema_version" VALUES(1);
CREATE TABLE v1_variables (
	request_key TEXT NOT NULL, 
	name TEXT NOT NULL, 
	time TEXT NOT NULL, 
	type TEXT NOT NULL, 
	text_value TEXT NOT NULL, 
	number_value NUMERIC, 
	PRIMARY KEY (request_key, name)
);
INSERT INTO "v1_variables" VALUES('18e91f57516d698a5b208ac62cb95c6c','user_id','2026-11-18T11:13:06.372594Z','str','u1',NULL);
INSERT INTO "v1_variables" VALUES('18e91f5775d5107b402b76e74e129598','user_id','2026-11-18T11:13:06.983366Z','str','u5',NULL);
INSERT INTO "v1_variables" VALUES('18e91f5775d5107b402b76e74e129598','vip','2026-11-18T11:13:06.983366Z','bool','false',0);
INSERT INTO "v1_variables" VALUES('18e91f5775d5107b402b76e74e129598','amount','2026-11-18T11:13:06.983366Z','float','inf',NULL);
INSERT INTO "v1_variables" VALUES('18e91f577e5619f2cfc2a5fb37057b65','user_id','2026-11-18T11:13:07.126041Z','str','u5',NULL);
INSERT INTO "v1_variables" VALUES('18e91f577e5619f2cfc2a5fb37057b65','cart_total','2026-11-18T11:13:07.126041Z','float','237.76',237.76);
INSERT INTO "v1_variables" VALUES('18e91f577e5619f2cfc2a5fb37057b65','items','2026-11-18T11:13:07.126041Z','int','7',7);
INSERT INTO "v1_variables" VALUES('18e91f577e5619f2cfc2a5fb37057b65','tags','2026-11-18T11:13:07.126041Z','list','["b", "🧺"]',NULL);
INSERT INTO "v1_variables" VALUES('18e91f57af79f5c2408394d027f9bd28','user_id','2026-11-18T11:13:07.950474Z','str','u7',NULL);
INSERT INTO "v1_variables" VALUES('18e91f57dce90df2c756e11968bb4e9a','user_id','2026-11-18T11:13:08.712730Z','str','u5',NULL);
INSERT INTO "v1_variables" VALUES('18e91f57dce90df2c756e11968bb4e9a','cart_total','2026-11-18T11:13:08.712730Z','float','63.53',63.53);
INSERT INTO "v1_variables" VALUES('18e91f57dce90df2c756e11968bb4e9a','items','2026-11-18T11:13:08.712730Z','int','8',8);
INSERT INTO "v1_variables" VALUES('18e91f57dce90df2c756e11968bb4e9a','tags','2026-11-18T11:13:08.712730Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e91f57df8c955c9ecaced18612acdb','user_id','2026-11-18T11:13:08.757001Z','str','u2',NULL);
INSERT INTO "v1_variables" VALUES('18e91f5800804dd1ab8afe950919d2b9','user_id','2026-11-18T11:13:09.309844Z','str','u1',NULL);
INSERT INTO "v1_variables" VALUES('18e91f5800804dd1ab8afe950919d2b9','query','2026-11-18T11:13:09.309844Z','str','"quoted"	`tick`',NULL);
INSERT INTO "v1_variables" VALUES('18e91f5800804dd1ab8afe950919d2b9','numbers','2026-11-18T11:13:09.309844Z','list','[1, 2.5, -3]',NULL);
INSERT INTO "v1_variables" VALUES('18e91f5800804dd1ab8afe950919d2b9','flags','2026-11-18T11:13:09.309844Z','list','[true, false]',NULL);
INSERT INTO "v1_variables" VALUES('18e91f5800804dd1ab8afe950919d2b9','empty','2026-11-18T11:13:09.309844Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e92134d2e28bcf8dc0036f5619874d','user_id','2026-11-18T11:47:17.243931Z','str','u1',NULL);
INSERT INTO "v1_variables" VALUES('18e92134f95fb1f66328e5677161620e','user_id','2026-11-18T11:47:17.889667Z','str','u8',NULL);
INSERT INTO "v1_variables" VALUES('18e921352ceb08340119f320c4a05e95','user_id','2026-11-18T11:47:18.754437Z','str','u4',NULL);
INSERT INTO "v1_variables" VALUES('18e921352ceb08340119f320c4a05e95','cart_total','2026-11-18T11:47:18.754437Z','float','261.3',261.3);
INSERT INTO "v1_variables" VALUES('18e921352ceb08340119f320c4a05e95','items','2026-11-18T11:47:18.754437Z','int','2',2);
INSERT INTO "v1_variables" VALUES('18e921352ceb08340119f320c4a05e95','tags','2026-11-18T11:47:18.754437Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e921352f9de179c6a66928f2ad62f2','user_id','2026-11-18T11:47:18.799712Z','str','u5',NULL);
INSERT INTO "v1_variables" VALUES('18e9213536ff7751d2b51a358c2c2da7','user_id','2026-11-18T11:47:18.923548Z','str','u7',NULL);
INSERT INTO "v1_variables" VALUES('18e921356e4e420ce81d4a8d09a07d4c','user_id','2026-11-18T11:47:19.851459Z','str','u1',NULL);
INSERT INTO "v1_variables" VALUES('18e921f28f548867254245ba107a9c9c','user_id','2026-11-18T12:00:52.154337Z','str','u7',NULL);
INSERT INTO "v1_variables" VALUES('18e921f29a59a411558b8c5e90b7728a','user_id','2026-11-18T12:00:52.339221Z','str','u8',NULL);
INSERT INTO "v1_variables" VALUES('18e921f29a59a411558b8c5e90b7728a','query','2026-11-18T12:00:52.339221Z','str','',NULL);
INSERT INTO "v1_variables" VALUES('18e921f29a59a411558b8c5e90b7728a','numbers','2026-11-18T12:00:52.339221Z','list','[1, 2.5, -3]',NULL);
INSERT INTO "v1_variables" VALUES('18e921f29a59a411558b8c5e90b7728a','flags','2026-11-18T12:00:52.339221Z','list','[true, false]',NULL);
INSERT INTO "v1_variables" VALUES('18e921f29a59a411558b8c5e90b7728a','empty','2026-11-18T12:00:52.339221Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e921f2dadad8ce772fa37897669fa0','user_id','2026-11-18T12:00:53.421430Z','str','u5',NULL);
INSERT INTO "v1_variables" VALUES('18e921f2e5c7ec30b4e29161214556c9','user_id','2026-11-18T12:00:53.604740Z','str','u0',NULL);
INSERT INTO "v1_variables" VALUES('18e921f2e5c7ec30b4e29161214556c9','vip','2026-11-18T12:00:53.604740Z','bool','false',0);
INSERT INTO "v1_variables" VALUES('18e921f2e5c7ec30b4e29161214556c9','amount','2026-11-18T12:00:53.604740Z','int','-5',-5);
INSERT INTO "v1_variables" VALUES('18e921f2f69c09330fc7167dcbaeaa18','user_id','2026-11-18T12:00:53.887076Z','str','u1',NULL);
INSERT INTO "v1_variables" VALUES('18e921f3312fd9cb4ae753e26806a8e8','user_id','2026-11-18T12:00:54.869842Z','str','u7',NULL);
INSERT INTO "v1_variables" VALUES('18e922262ec105d5b86b3cb4e4d44814','user_id','2026-11-18T12:04:33.872356Z','str','u8',NULL);
INSERT INTO "v1_variables" VALUES('18e9222666b6385816751c925ee44884','user_id','2026-11-18T12:04:34.811172Z','str','u8',NULL);
INSERT INTO "v1_variables" VALUES('18e922268e4407e1032a2aa0247879f3','user_id','2026-11-18T12:04:35.474778Z','str','u6',NULL);
INSERT INTO "v1_variables" VALUES('18e922268e4407e1032a2aa0247879f3','vip','2026-11-18T12:04:35.474778Z','bool','false',0);
INSERT INTO "v1_variables" VALUES('18e922268e4407e1032a2aa0247879f3','amount','2026-11-18T12:04:35.474778Z','int','9223372036854775807',9223372036854775807);
INSERT INTO "v1_variables" VALUES('18e922269d10b3acf690b4f5d721bc6f','user_id','2026-11-18T12:04:35.723072Z','str','u1',NULL);
INSERT INTO "v1_variables" VALUES('18e922269d10b3acf690b4f5d721bc6f','vip','2026-11-18T12:04:35.723072Z','bool','false',0);
INSERT INTO "v1_variables" VALUES('18e922269d10b3acf690b4f5d721bc6f','amount','2026-11-18T12:04:35.723072Z','int','9223372036854775807',9223372036854775807);
INSERT INTO "v1_variables" VALUES('18e92226a42b3e77e6d5553374cc8e60','user_id','2026-11-18T12:04:35.842252Z','str','u3',NULL);
INSERT INTO "v1_variables" VALUES('18e92226ae8ee97d2cf0dc7ce4976a9e','user_id','2026-11-18T12:04:36.016556Z','str','u8',NULL);
INSERT INTO "v1_variables" VALUES('18e92226ae8ee97d2cf0dc7ce4976a9e','cart_total','2026-11-18T12:04:36.016556Z','float','251.49',251.49);
INSERT INTO "v1_variables" VALUES('18e92226ae8ee97d2cf0dc7ce4976a9e','items','2026-11-18T12:04:36.016556Z','int','7',7);
INSERT INTO "v1_variables" VALUES('18e92226ae8ee97d2cf0dc7ce4976a9e','tags','2026-11-18T12:04:36.016556Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e92226c096f3ebb2d8997c08150106','user_id','2026-11-18T12:04:36.319073Z','str','u3',NULL);
INSERT INTO "v1_variables" VALUES('18e92229030e65e4751e92c255105053','user_id','2026-11-18T12:04:46.024132Z','str','u1',NULL);
INSERT INTO "v1_variables" VALUES('18e922292674f20b4ad36aa2d9754381','user_id','2026-11-18T12:04:46.618055Z','str','u5',NULL);
INSERT INTO "v1_variables" VALUES('18e9222940b17d92c53ade99151d637c','user_id','2026-11-18T12:04:47.058230Z','str','u3',NULL);
INSERT INTO "v1_variables" VALUES('18e92229525e74e3eebf250fff2304b3','user_id','2026-11-18T12:04:47.354778Z','str','u3',NULL);
INSERT INTO "v1_variables" VALUES('18e92229525e74e3eebf250fff2304b3','vip','2026-11-18T12:04:47.354778Z','bool','false',0);
INSERT INTO "v1_variables" VALUES('18e92229525e74e3eebf250fff2304b3','amount','2026-11-18T12:04:47.354778Z','float','nan',NULL);
INSERT INTO "v1_variables" VALUES('18e922297da4608c717cd86529eb1f7a','user_id','2026-11-18T12:04:48.080781Z','str','u2',NULL);
INSERT INTO "v1_variables" VALUES('18e922297da4608c717cd86529eb1f7a','query','2026-11-18T12:04:48.080781Z','str','🧺[31mred[0m
',NULL);
INSERT INTO "v1_variables" VALUES('18e922297da4608c717cd86529eb1f7a','numbers','2026-11-18T12:04:48.080781Z','list','[1, 2.5, -3]',NULL);
INSERT INTO "v1_variables" VALUES('18e922297da4608c717cd86529eb1f7a','flags','2026-11-18T12:04:48.080781Z','list','[true, false]',NULL);
INSERT INTO "v1_variables" VALUES('18e922297da4608c717cd86529eb1f7a','empty','2026-11-18T12:04:48.080781Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e922397bd979131e824a2d2572475f','user_id','2026-11-18T12:05:56.770183Z','str','u2',NULL);
INSERT INTO "v1_variables" VALUES('18e922397bd979131e824a2d2572475f','query','2026-11-18T12:05:56.770183Z','str','half ?',NULL);
INSERT INTO "v1_variables" VALUES('18e922397bd979131e824a2d2572475f','numbers','2026-11-18T12:05:56.770183Z','list','[1, 2.5, -3]',NULL);
INSERT INTO "v1_variables" VALUES('18e922397bd979131e824a2d2572475f','flags','2026-11-18T12:05:56.770183Z','list','[true, false]',NULL);
INSERT INTO "v1_variables" VALUES('18e922397bd979131e824a2d2572475f','empty','2026-11-18T12:05:56.770183Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e92239964019aff83077112ec11a0b','user_id','2026-11-18T12:05:57.213116Z','str','u3',NULL);
INSERT INTO "v1_variables" VALUES('18e922399bd1b7ad1945a09e1c9a4aca','user_id','2026-11-18T12:05:57.306546Z','str','u5',NULL);
INSERT INTO "v1_variables" VALUES('18e922399bd1b7ad1945a09e1c9a4aca','query','2026-11-18T12:05:57.306546Z','str','half ?',NULL);
INSERT INTO "v1_variables" VALUES('18e922399bd1b7ad1945a09e1c9a4aca','numbers','2026-11-18T12:05:57.306546Z','list','[1, 2.5, -3]',NULL);
INSERT INTO "v1_variables" VALUES('18e922399bd1b7ad1945a09e1c9a4aca','flags','2026-11-18T12:05:57.306546Z','list','[true, false]',NULL);
INSERT INTO "v1_variables" VALUES('18e922399bd1b7ad1945a09e1c9a4aca','empty','2026-11-18T12:05:57.306546Z','list','[]',NULL);
INSERT INTO "v1_variables" VALUES('18e92239a52295e300e1deda31f873ae','user_id','2026-11-18T12:05:57.462840Z','str','u6',NULL);
INSERT INTO "v1_variables" VALUES('18e92239b29e8a5b8c6fb3f3c818f8cd','user_id','2026-11-18T12:05:57.689068Z','str','u0',NULL);
CREATE INDEX v1_requests_time ON v1_requests (time);
CREATE INDEX v1_requests_trace_id ON v1_requests (trace_id);
CREATE INDEX v1_requests_request_id ON v1_requests (request_id);
CREATE INDEX v1_variables_name_time ON v1_variables (name, time);
COMMIT;
